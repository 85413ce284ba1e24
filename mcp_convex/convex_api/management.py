"""The `ManagementApi` over HTTP: teams, projects and deployments, and nothing made twice for a lost answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode

import httpx2

from mcp_convex.convex_api.failures import Failure, unexpected
from mcp_convex.convex_api.http import ANSWER_S, Call, Http, json_body
from mcp_convex.convex_api.management_wire import (
    WireCreatedProject,
    WireDeployKey,
    WireDeployment,
    WireProject,
    WireProjects,
    WireTeam,
    WireTokenDetails,
    WireUrl,
)
from mcp_convex.convex_api.peers import CLOUD
from mcp_convex.convex_api.retry import Retry
from mcp_convex.convex_api.wire import parse_json
from mcp_convex.domain.connections import Deployment, Project, ProjectId, Team, TeamId
from mcp_convex.domain.errors import AccessError, InputError, NotFound, OutcomeUnknown, UnexpectedAnswer
from mcp_convex.domain.ports import ManagementApi, NewDeployment
from mcp_convex.domain.secrets import AccessTokenValue, AdminKeyValue

T = TypeVar("T")

_PAGE = 100
"""Convex's own limit."""
_MOST_PAGES = 50


class HttpManagementApi(ManagementApi):
    """Convex at *host*, reached over HTTP. `close` it in the end."""

    def __init__(
        self,
        host: str,
        *,
        dashboard_host: str,
        retry: Retry | None = None,
        answer_s: float = ANSWER_S,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._host = host
        self._dashboard_host = dashboard_host
        self._retry = retry or Retry()
        self._answer_s = answer_s
        self._http = Http(CLOUD, retry=self._retry, transport=transport)

    async def close(self) -> None:
        """Give back the connections."""
        await self._http.close()

    async def details(self, token: AccessTokenValue) -> tuple[tuple[Team, ...], Project | None]:
        try:
            found = parse_json(WireTokenDetails, await self._get(token, "/v1/token_details"))
        except (AccessError, InputError, UnexpectedAnswer):
            if _prefix(token):
                raise
            return await self._teams(token), None  # a login says nothing of what it is
        if found.project_id is not None:
            project = parse_json(WireProject, await self._get(token, f"/v1/projects/{found.project_id}")).to_domain()
            return (_team(project.team_id, project.team_slug),), project
        if found.team_id is None:
            raise unexpected("Convex does not say what the token opens.")
        return (_team(TeamId(found.team_id), _prefix(token).partition(":")[2]),), None

    async def deployment_url(self, key: AdminKeyValue) -> str:
        # As Convex's CLI (1.48) does it: a deployment may have another host than its name suggests.
        call = Call(
            path="/api/deployment/url_for_key",
            body=json_body({"deployKey": key.get_secret_value()}),
            optional=True,
            answer_s=self._answer_s,
        )
        answer = await self._http.send(self._host, key, call)
        return parse_json(WireUrl, answer.body).root

    async def list_projects(
        self, token: AccessTokenValue, team: TeamId, *, search: str | None = None
    ) -> tuple[Project, ...]:
        projects: list[Project] = []
        wanted = {"limit": str(_PAGE)} | ({"q": search} if search else {})
        for _ in range(_MOST_PAGES):
            body = await self._get(token, f"/v1/teams/{team}/projects?{urlencode(wanted)}")
            page = parse_json(WireProjects, body)
            projects += [project.to_domain() for project in page.items]
            if not page.pagination.has_more or page.pagination.next_cursor in {None, wanted.get("cursor")}:
                break
            wanted["cursor"] = page.pagination.next_cursor or ""
        return tuple(projects)

    async def create_project(self, token: AccessTokenValue, team: TeamId, name: str) -> tuple[Project, int | None]:
        def read(body: bytes) -> tuple[Project, int | None]:
            created = parse_json(WireCreatedProject, body)
            project = Project(id=ProjectId(created.id), slug=created.slug, name=name, team_id=team)
            return project, created.projects_remaining

        async def find() -> tuple[Project, int | None] | None:
            found = await self.list_projects(token, team, search=name)
            return next(((project, None) for project in found if project.name == name), None)

        call = self._creating(f"/v1/teams/{team}/create_project", {"projectName": name})
        return await self._made(token, call, read, find)

    async def list_deployments(self, token: AccessTokenValue, project: ProjectId) -> tuple[Deployment, ...]:
        body = await self._get(token, f"/v1/projects/{project}/list_deployments")
        found = parse_json(tuple[WireDeployment, ...], body)
        return tuple(wire.to_domain(self._dashboard_host) for wire in found if wire.kind == "cloud")

    async def default_dev(self, token: AccessTokenValue, project: ProjectId) -> Deployment | None:
        try:
            body = await self._get(token, f"/v1/projects/{project}/deployment?defaultDev=true")
        except NotFound:
            return None
        found = parse_json(WireDeployment, body)
        return found.to_domain(self._dashboard_host) if found.kind == "cloud" else None

    async def create_deployment(self, token: AccessTokenValue, project: ProjectId, new: NewDeployment) -> Deployment:
        wanted: dict[str, object] = {"type": new.type, "reference": new.reference}
        if new.is_default:
            wanted["isDefault"] = True
        if new.expires_at:
            wanted["expiresAt"] = int(new.expires_at.timestamp() * 1000)

        def read(body: bytes) -> Deployment:
            return parse_json(WireDeployment, body).to_domain(self._dashboard_host)

        async def find() -> Deployment | None:
            found = await self.list_deployments(token, project)
            return next((deployment for deployment in found if deployment.reference == new.reference), None)

        call = self._creating(f"/v1/projects/{project}/create_deployment", wanted)
        return await self._made(token, call, read, find)

    async def create_deploy_key(self, token: AccessTokenValue, deployment: Deployment, name: str) -> AdminKeyValue:
        path = f"/v1/deployments/{quote(deployment.name, safe='')}/create_deploy_key"
        # Convex may not know a deployment yet that it made a moment ago, so here a 404 is waited for.
        call = Call(path=path, body=json_body({"name": name}), answer_s=self._answer_s)
        answer = await self._http.send(self._host, token, call)
        return AdminKeyValue(parse_json(WireDeployKey, answer.body).deploy_key)

    async def revoke(self, token: AccessTokenValue) -> bool:
        teams, project = await self.details(token)
        if project is not None:
            return False  # only the dashboard ends the grant of one project
        body = json_body({"id": token.get_secret_value()})
        path = f"/v1/teams/{teams[0].id}/delete_access_token"
        try:
            await self._http.send(self._host, token, Call(path=path, body=body, optional=True, answer_s=self._answer_s))
        except (InputError, UnexpectedAnswer):
            return False  # it is no access token in that sense, as an OAuth grant may not be
        return True

    async def _get(self, token: AccessTokenValue, path: str) -> bytes:
        call = Call(path=path, optional=True, answer_s=self._answer_s)
        return (await self._http.send(self._host, token, call)).body

    async def _teams(self, token: AccessTokenValue) -> tuple[Team, ...]:
        found = parse_json(tuple[WireTeam, ...], await self._get(token, "/api/teams"))
        if not found:
            raise NotFound("That login belongs to no team.", next_step="Ask the person to create a team at Convex.")
        return tuple(Team(id=TeamId(team.id), slug=team.slug, name=team.name) for team in found)

    def _creating(self, path: str, body: Mapping[str, object]) -> Call:
        return Call(path=path, body=json_body(body), repeatable=False, optional=True, answer_s=self._answer_s)

    async def _made(
        self,
        token: AccessTokenValue,
        call: Call,
        read: Callable[[bytes], T],
        find: Callable[[], Awaitable[T | None]],
    ) -> T:
        """
        Return what *call* makes, once.

        Whenever an answer did not come as it should, what may have been made is looked for before it is made again.
        """
        tried = False

        async def attempt() -> T | Failure:
            nonlocal tried
            if tried and (found := await find()) is not None:
                return found
            tried = True
            outcome = await self._http.once(self._host, token, call)
            if isinstance(outcome, Failure):
                return outcome
            try:
                return read(outcome.body)
            except UnexpectedAnswer as exc:
                return Failure(exc)

        outcome = await self._retry.run(attempt)
        if not isinstance(outcome, Failure):
            return outcome
        is_unclear = isinstance(outcome.error, OutcomeUnknown | UnexpectedAnswer)
        found = await find() if is_unclear else None
        if found is None:
            raise outcome.error
        return found


def _team(id_: TeamId, slug: str | None) -> Team:
    # Convex tells a team's name to nobody but its members' own logins.
    known = slug or str(id_)
    return Team(id=id_, slug=known, name=known)


def _prefix(token: AccessTokenValue) -> str:
    """Return what stands in front of a token, as in `team:acme|…`; a login has nothing there."""
    return token.get_secret_value().rpartition("|")[0]
