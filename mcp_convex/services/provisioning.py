"""Making a project with its deployment at Convex: recorded step by step, so that it goes on where it stopped."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import anyio
from pydantic import Field

from mcp_convex.domain.connections import Deployment, Project, ProvisioningRun, ProvisioningStep
from mcp_convex.domain.errors import ConvexUnreachable, InvalidArguments, NotFound, PushUnderWay, StoreCorrupt
from mcp_convex.domain.models import Model, PrincipalId, Target, WorkspaceId
from mcp_convex.domain.ports import (
    ConnectionStore,
    LeaseStore,
    ManagementApi,
    NewDeployment,
    Progress,
    ProvisioningStore,
    Reach,
    Sandbox,
)
from mcp_convex.services.env_file import EnvFile
from mcp_convex.services.targets import TargetService
from mcp_convex.services.teams import OpenTeam, Teams

T = TypeVar("T")

FEW_PROJECTS = 3
"""So few more that the person should hear of it."""

_SAID: dict[ProvisioningStep, str] = {
    "selecting_team": "selecting the team",
    "creating_project": "creating the project",
    "creating_deployment": "creating the deployment",
    "initialising_env": "linking the workspace",
    "connected": "connected",
}
_ORDER = tuple(_SAID)


class LinkedProject(Model):
    """A project at Convex, and which of its deployments the workspace works with from now on."""

    project: Project
    deployment: Deployment
    target: Target
    found: bool = Field(default=False, description="True where the project existed already, and none was made.")
    notes: tuple[str, ...] = Field(default=(), description="What else is worth knowing.")
    next_step: str = "Write functions with `write_files`, then `push`."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningPorts:
    """What projects, and the making of one, need of the outside."""

    api: ManagementApi
    connections: ConnectionStore
    runs: ProvisioningStore
    leases: LeaseStore
    sandbox: Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisioningBounds:
    deadline_s: float = 120
    """Seconds after which a call gives up. The next one goes on."""
    lease_s: float = 30
    """Seconds until another server may go on with what a dead one began."""


@dataclass(slots=True)
class _Making:
    """One call that makes a project, or goes on with one that an earlier call began."""

    run: ProvisioningRun
    opened: OpenTeam
    progress: Progress
    resumed: bool
    """An earlier call may have done what this one is about to: what a step makes is looked for first."""
    gone_back: bool = False
    found: bool = False
    notes: tuple[str, ...] = ()


class Provisioning:
    """
    Five steps: selecting_team, creating_project, creating_deployment, initialising_env, connected.

    Each is recorded before its call to Convex. Whatever stops it, a kill, a lost answer or a
    refusal, the next call for the same name begins at the step that was recorded last, and
    looks for what that step may have made before making it.
    """

    def __init__(
        self,
        ports: ProvisioningPorts,
        targets: TargetService,
        *,
        owner: tuple[PrincipalId, WorkspaceId],
        bounds: ProvisioningBounds | None = None,
    ) -> None:
        self._ports = ports
        self._teams = Teams(ports.api, ports.connections, owner[0])
        self._targets = targets
        self._env_file = EnvFile(ports.sandbox)
        self._principal, self._workspace = owner
        self._bounds = bounds or ProvisioningBounds()

    async def make(self, name: str, team: str | None, progress: Progress) -> LinkedProject:
        """
        Return the project *name* with a dev deployment of its own, linked to the workspace.

        Raises:
            NotConnected: There is no connection.
            InvalidArguments: The team is ambiguous, or has a project of that name already.
            QuotaReached: The team's plan allows no more. The next call goes on, once it does.
            ConvexUnreachable: It took too long. The next call goes on.
        """
        with anyio.move_on_after(self._bounds.deadline_s):
            async with self._alone():
                making = await self._begin(name, team, progress)
                return await self._finish(making)
        raise ConvexUnreachable(
            f"Convex did not finish within {self._bounds.deadline_s:g} seconds.",
            next_step="Call `create_project` again with the same name: it goes on where it stopped.",
        )

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        try:
            async with self._ports.leases.hold(f"provisioning:{self._workspace}", ttl_s=self._bounds.lease_s):
                yield
        except PushUnderWay:
            raise PushUnderWay(
                "Another call already makes a project for this workspace.",
                next_step="Wait a few seconds, then make the same call again.",
            ) from None

    async def _begin(self, name: str, team: str | None, progress: Progress) -> _Making:
        open_run = await self._ports.runs.open_run(self._principal, self._workspace, name)
        known = open_run.team if open_run else None
        opened = await self._teams.to_create_in(team or (str(known.id) if known else None))
        if open_run and known and known.id == opened.team.id:
            # The grant may have been renewed meanwhile: the team is what counts.
            run = open_run.model_copy(update={"connection": opened.connection.id})
            return _Making(run, opened, progress, resumed=True)
        id_ = open_run.id if open_run else secrets.token_hex(6)
        run = ProvisioningRun(
            id=id_,
            workspace=self._workspace,
            connection=opened.connection.id,
            name=name,
            step="selecting_team",
            reference=f"dev/mcp-{secrets.token_hex(4)}",
            team=opened.team,
            updated_at=datetime.now(UTC),
        )
        making = _Making(run, opened, progress, resumed=False)
        await self._record(making, "selecting_team")
        return making

    async def _finish(self, making: _Making) -> LinkedProject:
        while (step := making.run.step) != "connected":
            await making.progress.report(_ORDER.index(step), len(_ORDER) - 1, _SAID[step])
            try:
                await self._do(step, making)
            except NotFound:
                # What an earlier call made was deleted at Convex since then.
                if not making.resumed or making.gone_back or step == "selecting_team":
                    raise
                making.gone_back = True
                await self._record(making, "creating_project", project=None, deployment=None)
        await making.progress.report(len(_ORDER) - 1, len(_ORDER) - 1, _SAID["connected"])
        return await self._linked(making)

    async def _do(self, step: ProvisioningStep, making: _Making) -> None:
        match step:
            case "selecting_team":
                await self._select_team(making)
            case "creating_project":
                await self._create_project(making)
            case "creating_deployment":
                await self._create_deployment(making)
            case "initialising_env":
                await self._initialise_env(making)
            case "connected":
                pass

    async def _select_team(self, making: _Making) -> None:
        project = await self._find_project(making)
        if project is None:
            await self._record(making, "creating_project")
            return
        deployment = await self._linked_deployment(making, project)
        if deployment is None:
            raise InvalidArguments(
                f"The team `{making.opened.team.slug}` has a project called `{project.name}` already.",
                next_step=f"Call `link_project` with `{project.slug}` to use it, or choose another name.",
            )
        # An earlier call did it all, and only its answer did not arrive.
        making.found = True
        await self._record(making, "connected", project=project, deployment=deployment)

    async def _create_project(self, making: _Making) -> None:
        project = await self._find_project(making) if making.resumed else None
        making.found = project is not None
        if project is None:
            opened = making.opened
            created, left = await self._ports.api.create_project(opened.token, opened.team.id, making.run.name)
            project = created.model_copy(update={"team_slug": opened.team.slug})
            if left is not None and left <= FEW_PROJECTS:
                making.notes += (f"The team may have {left} more projects. Tell the person.",)
        await self._record(making, "creating_deployment", project=project)

    async def _create_deployment(self, making: _Making) -> None:
        run, token = making.run, making.opened.token
        project = _known(run.project)
        deployment = None
        if making.resumed:
            there = await self._ports.api.list_deployments(token, project.id)
            deployment = next((one for one in there if one.reference == run.reference), None)
        if deployment is None:
            new = NewDeployment(type=run.deployment_type, reference=run.reference, is_default=True)
            deployment = await self._ports.api.create_deployment(token, project.id, new)
        await self._record(making, "initialising_env", deployment=deployment)

    async def _initialise_env(self, making: _Making) -> None:
        reach = await reach_of(self._ports.api, making.opened, _known(making.run.deployment))
        target = await self._targets.take_new(reach, making.opened.connection.id)
        making.notes += await self._env_file.point_at(target)
        await self._record(making, "connected")

    async def _find_project(self, making: _Making) -> Project | None:
        opened, name = making.opened, making.run.name
        found = await self._ports.api.list_projects(opened.token, opened.team.id, search=name)
        return next((project for project in found if project.name == name), None)

    async def _linked_deployment(self, making: _Making, project: Project) -> Deployment | None:
        linked = await self._targets.linked()
        if linked is None or linked.kind != "cloud":
            return None
        there = await self._ports.api.list_deployments(making.opened.token, project.id)
        return next((one for one in there if one.name == linked.name), None)

    async def _linked(self, making: _Making) -> LinkedProject:
        project, deployment = _known(making.run.project), _known(making.run.deployment)
        return LinkedProject(
            project=project,
            deployment=deployment,
            target=await self._targets.linked() or target_of(deployment),
            found=making.found,
            notes=making.notes,
        )

    async def _record(self, making: _Making, step: ProvisioningStep, **known: Project | Deployment | None) -> None:
        update = {"step": step, "updated_at": datetime.now(UTC), **known}
        making.run = making.run.model_copy(update=update)
        await self._ports.runs.put(self._principal, making.run)


def target_of(deployment: Deployment) -> Target:
    """Return *deployment* as a workspace's target."""
    return Target(kind="cloud", name=deployment.name, type=deployment.type, url=deployment.url)


async def reach_of(api: ManagementApi, opened: OpenTeam, deployment: Deployment) -> Reach:
    """Return *deployment* with a key for it, made for this server."""
    # Each key has a name of its own: a name that is taken may be refused, and a key whose answer was lost took one.
    key = await api.create_deploy_key(opened.token, deployment, f"mcp-convex-{secrets.token_hex(4)}")
    return Reach(target_of(deployment), key)


def _known(value: T | None) -> T:
    if value is None:
        raise StoreCorrupt("The record of this project is incomplete.", next_step="Choose another name.")
    return value
