"""Projects and deployments at Convex: looking at them, making one, and linking the workspace to one."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import Field

from mcp_convex.domain.connections import Deployment, Project
from mcp_convex.domain.errors import InvalidArguments, NotFound
from mcp_convex.domain.models import DeploymentType, Model, PrincipalId, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import NewDeployment, NoProgress, Progress
from mcp_convex.services.env_file import EnvFile
from mcp_convex.services.excerpts import fitting, size_of_model
from mcp_convex.services.provisioning import (
    LinkedProject,
    Provisioning,
    ProvisioningBounds,
    ProvisioningPorts,
    reach_of,
    target_of,
)
from mcp_convex.services.suggestions import did_you_mean
from mcp_convex.services.targets import TargetService
from mcp_convex.services.teams import OpenTeam, Teams

T = TypeVar("T", bound=Project | Deployment)

_REFERENCE = re.compile(r"(?!prod/)[a-z0-9][a-z0-9/_-]{2,59}")
_NAMED_CHOICES = 10


class Projects(Model):
    """The projects that the connections open, as many as fit into one answer."""

    projects: tuple[Project, ...]
    cursor: str | None = Field(default=None, description="Pass it to read on; none at the end.")


class Deployments(Model):
    """A project's deployments, as many as fit into one answer."""

    project: Project
    deployments: tuple[Deployment, ...]
    cursor: str | None = Field(default=None, description="Pass it to read on; none at the end.")


@dataclass(frozen=True, slots=True)
class _Found:
    """A project, and the team through which it opens."""

    project: Project
    opened: OpenTeam


class ProjectService:
    def __init__(
        self,
        ports: ProvisioningPorts,
        targets: TargetService,
        policy: Policy,
        *,
        owner: tuple[PrincipalId, WorkspaceId],
        bounds: ProvisioningBounds | None = None,
    ) -> None:
        self._api = ports.api
        self._teams = Teams(ports.api, ports.connections, owner[0])
        self._targets = targets
        self._env_file = EnvFile(ports.sandbox)
        self._policy = policy
        self._provisioning = Provisioning(ports, targets, owner=owner, bounds=bounds)

    async def list_projects(self, team: str | None = None, cursor: str | None = None) -> Projects:
        """
        Return the projects of *team*, or of every team that is connected, sorted by team and name.

        Raises:
            NotConnected: There is no connection.
            InvalidArguments: No connection opens *team*, or *cursor* does not belong to this list.
        """
        async with self._teams.watched():
            found = [one.project for one in await self._all(team)]
        shown, more = _page(found, cursor, lambda project: str(project.id))
        return Projects(projects=shown, cursor=more)

    async def list_deployments(self, project: str | None = None, cursor: str | None = None) -> Deployments:
        """
        Return the deployments of *project*, or of the one that the workspace is linked to.

        Raises:
            NotFound: No connection opens such a project.
            InvalidArguments: *project* is ambiguous, or missing where the workspace is linked to none.
        """
        wanted = project or await self._targets.project()
        if wanted is None:
            raise InvalidArguments(
                "This workspace is linked to no project.", next_step="Pass `project`; `list_projects` shows them."
            )
        async with self._teams.watched():
            found = await self._find(wanted)
            there = await self._api.list_deployments(found.opened.token, found.project.id)
        shown, more = _page(sorted(there, key=lambda one: one.reference), cursor, lambda one: one.name)
        return Deployments(project=found.project, deployments=shown, cursor=more)

    async def create_project(
        self, name: str, *, team: str | None = None, progress: Progress | None = None
    ) -> LinkedProject:
        """
        Make a project with a dev deployment, and link the workspace to that.

        Raises:
            ConvexMcpError: As `Provisioning.make` says.
            BlockedByPolicy: The server is read-only.
        """
        self._policy.check_files()
        if not (wanted := " ".join(name.split())):
            raise InvalidArguments("A project needs a name.", next_step="Pass a `name`.")
        async with self._teams.watched():
            return await self._provisioning.make(wanted, team, progress or NoProgress())

    async def link_project(
        self,
        project: str,
        deployment: str | None = None,
        *,
        expires_in_hours: int | None = None,
        progress: Progress | None = None,
    ) -> LinkedProject:
        """
        Link the workspace to a deployment of *project*: the one named, or else the person's own dev deployment.

        Where there is none, one is made: the dev deployment, or one that Convex deletes after *expires_in_hours*.

        Raises:
            NotFound: No connection opens such a project, or it has no such deployment.
            InvalidArguments: *project* is ambiguous.
            BlockedByPolicy: It is a production deployment, or the server is read-only.
        """
        self._policy.check_files()
        said = progress or NoProgress()
        async with self._teams.watched():
            await said.report(0, 3, "looking for the project")
            found = await self._find(project)
            await said.report(1, 3, "looking for the deployment")
            chosen, is_new = await self._deployment(found, deployment, expires_in_hours)
            self._policy.check_read(target_of(chosen))
            await said.report(2, 3, "linking the workspace")
            reach = await reach_of(self._api, found.opened, chosen)
        take = self._targets.take_new if is_new else self._targets.take
        target = await take(reach, found.opened.connection.id)
        notes = await self._env_file.point_at(target)
        await said.report(3, 3, "linked")
        return LinkedProject(project=found.project, deployment=chosen, target=target, found=True, notes=notes)

    async def _deployment(self, found: _Found, wanted: str | None, hours: int | None) -> tuple[Deployment, bool]:
        """Return the deployment that is meant, and whether it was made just now."""
        token, project = found.opened.token, found.project
        if wanted is None and hours is None:
            # A project has the dev deployments of all its members: only the person's own is taken unasked.
            if there := await self._api.default_dev(token, project.id):
                return there, False
            new = NewDeployment(type="dev", reference=f"dev/mcp-{secrets.token_hex(4)}", is_default=True)
            return await self._api.create_deployment(token, project.id, new), True
        deployments = await self._api.list_deployments(token, project.id)
        for one in deployments:
            if wanted in {one.name, one.reference}:
                return one, False
        if hours is None:
            raise NotFound(
                "The project has no deployment of that name.",
                next_step=f"Pass one of these as `deployment`: {_choices([one.reference for one in deployments])}.",
            )
        return await self._api.create_deployment(token, project.id, _expiring(wanted, hours)), True

    async def _all(self, team: str | None = None) -> list[_Found]:
        found: dict[int, _Found] = {}
        for opened in await self._teams.all(team):
            projects = [opened.only] if opened.only else await self._api.list_projects(opened.token, opened.team.id)
            for project in projects:
                found.setdefault(project.id, _Found(project, opened))
        return sorted(
            found.values(), key=lambda one: (one.opened.team.slug, one.project.name.casefold(), one.project.id)
        )

    async def _find(self, wanted: str) -> _Found:
        there = await self._all()
        named = [one for one in there if wanted.casefold() in _names(one.project)]
        exact = [one for one in named if wanted in {one.project.slug, str(one.project.id)}]
        chosen = named if len(named) == 1 else exact
        if len(chosen) == 1:
            return chosen[0]
        if named:
            raise InvalidArguments(
                "Several projects have that name.",
                next_step=f"Pass one of these as `project`: {_choices([_path(one.project) for one in named])}.",
            )
        hint = did_you_mean(wanted, [one.project.slug for one in there])
        raise NotFound(
            "No connection opens a project of that name.",
            next_step=f"{hint}Call `list_projects` to see them, or `connect` to another team.",
        )


def _expiring(wanted: str | None, hours: int) -> NewDeployment:
    reference = wanted or f"dev/mcp-{secrets.token_hex(4)}"
    if not _REFERENCE.fullmatch(reference):
        raise InvalidArguments(
            "A new deployment cannot have that name.",
            next_step="Pass one of lower-case letters, digits, `/`, `-` and `_`, such as `dev/trial` or"
            " `preview/checkout`.",
        )
    type_: DeploymentType = "preview" if reference.startswith("preview/") else "dev"
    return NewDeployment(type=type_, reference=reference, expires_at=datetime.now(UTC) + timedelta(hours=hours))


def _names(project: Project) -> set[str]:
    return {project.slug, project.name.casefold(), str(project.id), _path(project)}


def _path(project: Project) -> str:
    return f"{project.team_slug or project.team_id}/{project.slug}"


def _choices(names: Sequence[str]) -> str:
    """Return the first *names*, quoted, and how many more there are."""
    shown = ", ".join(f"`{name}`" for name in names[:_NAMED_CHOICES])
    return f"{shown} and {len(names) - _NAMED_CHOICES} more" if len(names) > _NAMED_CHOICES else shown or "none"


def _page(items: Sequence[T], cursor: str | None, id_of: Callable[[T], str]) -> tuple[tuple[T, ...], str | None]:
    """Return what fits of *items* after the one that *cursor* names, and the cursor for the rest."""
    ids = [id_of(item) for item in items]
    if cursor is not None and cursor not in ids:
        raise InvalidArguments(
            "That cursor does not belong to this list.", next_step="Call again without a cursor to start over."
        )
    rest = items[ids.index(cursor) + 1 :] if cursor is not None else items
    shown = tuple(rest[: fitting(rest, size_of_model)])
    return shown, id_of(shown[-1]) if len(shown) < len(rest) else None
