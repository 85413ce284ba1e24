"""Convex's cloud on loopback: authorize page, token endpoint, management API, deployments. Misbehaves on request."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict, deque
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.doubles.cloud_consent import Consent
from tests.doubles.cloud_records import (
    CREATED_MS,
    MEMBER_ID,
    CloudDeployment,
    FakeProject,
    FakeTeam,
    Grant,
    GrantKind,
    Json,
    Refused,
    new_secret,
)
from tests.doubles.deployment import Fault, Seen, cuttable, served
from tests.doubles.recording import record

ENDPOINTS = {
    "token_details": "GET /v1/token_details",
    "list_projects": "GET /v1/teams/{team}/projects",
    "get_project_by_slug": "GET /v1/teams/{team}/projects/{slug}",
    "create_project": "POST /v1/teams/{team}/create_project",
    "create_access_token": "POST /v1/teams/{team}/create_access_token",
    "delete_access_token": "POST /v1/teams/{team}/delete_access_token",
    "list_access_tokens": "GET /v1/teams/{team}/list_access_tokens",
    "get_project": "GET /v1/projects/{project}",
    "delete_project": "POST /v1/projects/{project}/delete",
    "list_deployments": "GET /v1/projects/{project}/list_deployments",
    "find_deployment": "GET /v1/projects/{project}/deployment",
    "create_deployment": "POST /v1/projects/{project}/create_deployment",
    "get_deployment": "GET /v1/deployments/{deployment}",
    "delete_deployment": "POST /v1/deployments/{deployment}/delete",
    "create_deploy_key": "POST /v1/deployments/{deployment}/create_deploy_key",
    "list_deploy_keys": "GET /v1/deployments/{deployment}/list_deploy_keys",
    "delete_deploy_key": "POST /v1/deployments/{deployment}/delete_deploy_key",
    "list_teams": "GET /api/teams",
    "url_for_key": "POST /api/deployment/url_for_key",
}
"""Every call that the management API of this double answers, by the name under which faults are set for it."""


class FakeCloud:
    """
    Teams, projects and deployments, and who may do what to them.

    Faults are set by the names in `ENDPOINTS`, by `token` for the exchange of a code, and
    for the deployments by the last part of their path, such as `deployment_info`.
    """

    def __init__(self) -> None:
        self.url = ""
        """Serves for both hosts: `PROVISION_HOST` and `DASHBOARD_HOST`."""
        self.consent = Consent(self)
        self.teams: list[FakeTeam] = []
        self.projects: dict[int, FakeProject] = {}
        self.deployments: dict[str, CloudDeployment] = {}
        self.grants: list[Grant] = []
        self.page_size = 100
        self.projects_remaining: int | None = None
        """Convex's older API told with each new project how many more there may be."""
        self.seen: list[Seen] = []
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._standing: dict[str, Fault] = {}
        self._closing = asyncio.Event()
        self._servers: list[AbstractAsyncContextManager[str]] = []
        self._ids = iter(range(100, 1_000_000))

    # --- setting the scene -------------------------------------------------------------------------------------------

    def add_team(self, slug: str = "acme", name: str = "Acme Inc.") -> FakeTeam:
        team = FakeTeam(next(self._ids), slug, name)
        self.teams.append(team)
        return team

    def add_project(self, team: FakeTeam, name: str) -> FakeProject:
        slug = base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "project"
        while any((slug, team) == (other.slug, other.team) for other in self.projects.values()):
            slug = f"{base}-{next(self._ids)}"
        project = FakeProject(next(self._ids), slug, name, team)
        self.projects[project.id] = project
        return project

    async def add_deployment(self, project: FakeProject, type_: str = "dev", **known: Any) -> CloudDeployment:
        """Make a deployment; *known* are fields of Convex's JSON, such as `reference`."""
        number = next(self._ids)
        reference = known.pop("reference", None) or f"{type_}/{number}"
        default = {"kind": "cloud", "id": number, "name": f"playful-otter-{number}", "createTime": CREATED_MS}
        placed = {"region": "aws-us-east-1", "class": "s16", "creator": MEMBER_ID, "projectId": project.id}
        typed = {"deploymentType": type_, "isDefault": False, "reference": reference}
        deployment = CloudDeployment(project, {**default, **placed, **typed, **known}, self._opens)
        deployment.seen, deployment._faults, deployment._standing = self.seen, self._faults, self._standing
        deployment._closing = self._closing
        self._servers.append(served(deployment.app(), lambda: None))
        deployment.url = await self._servers[-1].__aenter__()
        self.deployments[deployment.name] = deployment
        return deployment

    def grant(self, kind: GrantKind, team: FakeTeam, project: FakeProject | None = None, name: str = "") -> Grant:
        """Give a token, as a person does on the authorize page or the dashboard."""
        number = next(self._ids)
        grant = Grant(kind, team, project, name or f"token {number}", number)
        self.grants.append(grant)
        return grant

    def revoke(self, grant: Grant) -> None:
        self.grants.remove(grant)

    # --- misbehaving and remembering ---------------------------------------------------------------------------------

    def script(self, step: str, *faults: Fault) -> None:
        """Let the next requests for *step* go wrong, one after another; then it answers as it should."""
        self._faults[step].extend(faults)

    def always(self, step: str, fault: Fault) -> None:
        """Let every request for *step* go wrong."""
        self._standing[step] = fault

    def mend(self) -> None:
        """Let everything go well again."""
        self._standing.clear()
        self._faults.clear()

    def forget(self) -> None:
        """Begin anew, with nobody and nothing: quicker than another server."""
        for held in (self.teams, self.projects, self.deployments, self.grants, self.seen, self.consent.codes):
            held.clear()
        self.page_size, self.projects_remaining = 100, None
        self.mend()

    def asked(self, step: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.step == step]

    def steps(self) -> list[str]:
        """Return what was asked for, in order."""
        return [seen.step for seen in self.seen]

    # --- serving -----------------------------------------------------------------------------------------------------

    def app(self) -> Any:
        routes = [
            Route("/oauth/authorize/{scope}", self.consent.page, methods=["GET"]),
            Route("/oauth/authorize/{scope}", self.consent.decide, methods=["POST"]),
            Route("/oauth/token", self._endpoint("token"), methods=["POST"]),
        ]
        for step, place in ENDPOINTS.items():
            method, _, path = place.partition(" ")
            routes.append(Route(path, self._endpoint(step), methods=[method]))
        return cuttable(Starlette(routes=routes))

    async def close(self) -> None:
        self.stop_waiting()
        await asyncio.gather(*(server.__aexit__(None, None, None) for server in self._servers))

    def stop_waiting(self) -> None:
        self._closing.set()

    def _endpoint(self, step: str) -> Any:
        async def serve(request: Request) -> Response:
            raw = await request.body()
            form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
            body = (dict(parse_qsl(raw.decode())) if form else json.loads(raw)) if raw else None
            self.seen.append(Seen(step, dict(request.headers), raw, body))
            fault = self._faults[step].popleft() if self._faults[step] else self._standing.get(step)
            right = await self._right(step, request, body) if fault is None or fault.applies else JSONResponse({})
            return await fault.answer(right, self._closing) if fault else right

        return serve

    async def _right(self, step: str, request: Request, body: Any) -> Response:
        try:
            if step == "token":
                return self.consent.token(body or {})
            if step == "url_for_key":
                return self._url_for_key(request, body["deployKey"])
            asked = _Asked(self._authorized(request), request, body or {})
            answer = await getattr(self, f"_{step}")(asked)
        except Refused as refused:
            return refused.answer()
        right = answer if isinstance(answer, Response) else JSONResponse(answer)
        if self.projects_remaining is None:  # v1 does not tell, and it is v1's shapes that are recorded
            record("management", step, body, right, _typed_query(request))
        return right

    # --- the management API ------------------------------------------------------------------------------------------

    async def _token_details(self, asked: _Asked) -> Json:
        if asked.grant.kind == "login":
            raise Refused(403, "OperationNotPermitted")
        return asked.grant.details()

    async def _list_teams(self, asked: _Asked) -> Response:
        if asked.grant.kind != "login":
            raise Refused(403, "OperationNotPermitted")
        return JSONResponse([team.json() for team in self.teams])

    async def _list_projects(self, asked: _Asked) -> Json:
        team, wanted = self._team(asked), asked.query.get("q", "").lower()
        limit = min(int(asked.query.get("limit", "100")), self.page_size)
        found = [
            one for one in self.projects.values() if one.team is team and wanted in f"{one.name} {one.slug}".lower()
        ]
        found.sort(key=lambda project: -project.id)
        first = int(asked.query.get("cursor") or 0)
        more = first + limit < len(found)
        pagination = {"hasMore": more} | ({"nextCursor": str(first + limit)} if more else {})
        return {"items": [one.json() for one in found[first : first + limit]], "pagination": pagination}

    async def _get_project_by_slug(self, asked: _Asked) -> Json:
        found = [one for one in self.projects.values() if one.slug == asked.path["slug"]]
        for project in found:
            if asked.path["team"] in {project.team.slug, str(project.team.id)} and asked.grant.opens(project):
                return project.json()
        raise Refused(404, "ProjectNotFound")

    async def _create_project(self, asked: _Asked) -> Json:
        team = self._team(asked)
        if sum(project.team is team for project in self.projects.values()) >= team.project_quota:
            raise Refused(400, "ProjectQuotaReached")
        project = self.add_project(team, asked.body["projectName"])
        answer = {"id": project.id, "projectId": project.id, "slug": project.slug}
        if type_ := asked.body.get("deploymentType"):
            deployment = await self._add_counted(project, type_, isDefault=True)
            answer |= {"deploymentName": deployment.name, "deploymentUrl": deployment.url}
        return answer if self.projects_remaining is None else answer | {"projectsRemaining": self.projects_remaining}

    async def _get_project(self, asked: _Asked) -> Json:
        return self._project(asked).json()

    async def _delete_project(self, asked: _Asked) -> Response:
        project = self._project(asked)
        del self.projects[project.id]
        self.deployments = {name: one for name, one in self.deployments.items() if one.project is not project}
        return Response(status_code=200)

    async def _list_deployments(self, asked: _Asked) -> Response:
        project, type_ = self._project(asked), asked.query.get("deploymentType")
        found = [one for one in self.deployments.values() if one.project is project and type_ in {None, one.type}]
        return JSONResponse([one.json() for one in found])

    async def _find_deployment(self, asked: _Asked) -> Json:
        project, query = self._project(asked), asked.query
        for one in self.deployments.values():
            default = one.known["isDefault"] and query.get(f"default{one.type.title()}") == "true"
            if one.project is project and (default or one.reference == query.get("reference")):
                return one.json()
        raise Refused(404, "DeploymentNotFound")

    async def _create_deployment(self, asked: _Asked) -> Json:
        project, body = self._project(asked), asked.body
        reference = body.get("reference")
        if any(one.project is project and one.reference == reference for one in self.deployments.values()):
            raise Refused(409, "DeploymentReferenceInUse")
        known = {"isDefault": body.get("isDefault") or False} | (
            {"expiresAt": body["expiresAt"]} if body.get("expiresAt") else {}
        )
        return (await self._add_counted(project, body["type"], reference=reference, **known)).json()

    async def _get_deployment(self, asked: _Asked) -> Json:
        return self._deployment(asked).json()

    async def _delete_deployment(self, asked: _Asked) -> Response:
        del self.deployments[self._deployment(asked).name]
        return Response(status_code=200)

    async def _create_deploy_key(self, asked: _Asked) -> Json:
        deployment, name = self._deployment(asked), asked.body["name"]
        prefix = f"{deployment.type}:{deployment.name}"
        if asked.grant.kind == "oauth":  # no key is made: it is the grant's own secret, under another prefix
            return {"deployKey": f"{prefix}|{asked.grant.secret}"}
        return {"deployKey": deployment.keys.setdefault(name, f"{prefix}|{new_secret()}")}

    async def _list_deploy_keys(self, asked: _Asked) -> Response:
        names = enumerate(self._deployment(asked).keys)
        keys = [{"id": n, "name": name, "creationTime": CREATED_MS, "allowedActions": []} for n, name in names]
        return JSONResponse(keys)

    async def _delete_deploy_key(self, asked: _Asked) -> Response:
        keys, wanted = self._deployment(asked).keys, asked.body["id"]
        name = next((name for name, key in keys.items() if wanted in {name, key}), None)
        if name is None:
            raise Refused(404, "AccessTokenNotFound")
        del keys[name]
        return Response(status_code=200)

    async def _create_access_token(self, asked: _Asked) -> Response:
        grant = self.grant("team_token", self._team(asked), name=asked.body.get("name") or "")
        return JSONResponse({"accessToken": grant.token, "tokenType": "bearer"}, 201)

    async def _delete_access_token(self, asked: _Asked) -> Response:
        team, wanted = self._team(asked), asked.body["id"]
        for grant in self.grants:
            if (grant.kind, grant.team) == ("team_token", team) and wanted in {grant.name, grant.token, grant.secret}:
                self.revoke(grant)
                return Response(status_code=200)
        raise Refused(404, "AccessTokenNotFound")

    async def _list_access_tokens(self, asked: _Asked) -> Json:
        team = self._team(asked)
        tokens = [one for one in self.grants if (one.kind, one.team) == ("team_token", team)]
        items = [{"id": one.id, "name": one.name, "creationTime": CREATED_MS} for one in tokens]
        return {"items": items, "pagination": {"hasMore": False}}

    def _url_for_key(self, request: Request, key: str) -> Response:
        """Answer as to the CLI: a JSON string, for the one whose key is in the header, too."""
        if f"Bearer {key}" != request.headers.get("authorization"):
            raise Refused(401, "AccessTokenInvalid")
        for deployment in self.deployments.values():
            if self._opens(key, deployment):
                return JSONResponse(deployment.url)
        raise Refused(401, "AccessTokenInvalid")

    # --- who may -----------------------------------------------------------------------------------------------------

    def _authorized(self, request: Request) -> Grant:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        for grant in self.grants:
            if token == grant.token:
                if grant.team.wants_sso:
                    raise Refused(403, "SSORequired")
                return grant
        raise Refused(401, "AccessTokenInvalid")

    def _team(self, asked: _Asked) -> FakeTeam:
        team = next((team for team in self.teams if str(team.id) == asked.path["team"]), None)
        if team is None or not (asked.grant.opens_team(team) or asked.grant.team is team):
            raise Refused(404, "TeamNotFound")
        if not asked.grant.opens_team(team):
            raise Refused(403, "OperationNotPermitted")
        return team

    def _project(self, asked: _Asked) -> FakeProject:
        project = self.projects.get(int(asked.path["project"]))
        if project is None or not asked.grant.opens(project):
            raise Refused(404, "ProjectNotFound")
        return project

    def _deployment(self, asked: _Asked) -> CloudDeployment:
        deployment = self.deployments.get(asked.path["deployment"])
        if deployment is None or not asked.grant.opens(deployment.project):
            raise Refused(404, "DeploymentNotFound")
        return deployment

    async def _add_counted(self, project: FakeProject, type_: str, **known: Any) -> CloudDeployment:
        team = project.team
        if sum(one.project.team is team for one in self.deployments.values()) >= team.deployment_quota:
            raise Refused(400, "DeploymentQuotaReached")
        return await self.add_deployment(project, type_, **known)

    def _opens(self, key: str, deployment: CloudDeployment) -> bool:
        """Say whether *key* opens *deployment*: one of its own, a token, or a token under the deployment's name."""
        if key in deployment.keys.values():
            return True
        prefix, _, secret = key.partition("|")
        return any(
            key == grant.token
            or (grant.kind == "oauth" and secret == grant.secret and prefix == f"{deployment.type}:{deployment.name}")
            for grant in self.grants
            if grant.opens(deployment.project)
        )


class _Asked:
    """One request to the management API."""

    def __init__(self, grant: Grant, request: Request, body: Json) -> None:
        self.grant, self.body = grant, body
        self.path: dict[str, str] = request.path_params
        self.query = dict(request.query_params)


@asynccontextmanager
async def fake_cloud():
    """Serve Convex's cloud in this event loop for as long as the block lasts."""
    cloud = FakeCloud()
    async with served(cloud.app(), cloud.stop_waiting) as cloud.url:
        try:
            yield cloud
        finally:
            await cloud.close()


async def approve(authorize_url: str, choice: str, *, action: str = "authorize") -> str | None:
    """Do what a person does on the authorize page, and return where the browser is sent; None where it stays."""
    async with httpx2.AsyncClient() as browser:
        page = await browser.get(authorize_url)
        asked = dict(parse_qsl(urlsplit(authorize_url).query))
        assert "<form" in page.text, page.text
        answer = await browser.post(authorize_url.partition("?")[0], data={**asked, "choice": choice, "action": action})
    return answer.headers.get("location")


_NO_TEXT = {"limit", "includeLocal", "isDefault", "defaultDev", "defaultProd"}


def _typed_query(request: Request) -> Json | None:
    """Return the query as the generated types have it: numbers and truth values are no text."""
    query = dict(request.query_params)
    return {name: json.loads(value) if name in _NO_TEXT else value for name, value in query.items()} or None
