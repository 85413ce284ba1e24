"""Projects over Convex's cloud in the test's own process, or run by itself to be killed: `provisioning.py JSON`."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import anyio
from pydantic import SecretStr

from mcp_convex.convex_api.deployment import HttpDeploymentApi
from mcp_convex.convex_api.management import HttpManagementApi
from mcp_convex.convex_api.retry import Retry
from mcp_convex.domain.connections import Connection, ConnectionId, Project, ProjectId, Team, TeamId
from mcp_convex.domain.errors import PushUnderWay
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import Progress
from mcp_convex.domain.secrets import AccessTokenValue
from mcp_convex.sandboxes import LocalSandbox
from mcp_convex.services.projects import ProjectService
from mcp_convex.services.provisioning import LinkedProject, ProvisioningBounds, ProvisioningPorts
from mcp_convex.services.targets import TargetPorts, TargetService
from mcp_convex.store import open_data_dir
from mcp_convex.store.store import Store
from tests.doubles.cloud import FakeCloud
from tests.doubles.cloud_records import FakeProject, FakeTeam, Grant, GrantKind
from tests.doubles.convex_deployment import Naps
from tests.doubles.plain_launcher import PlainLauncher
from tests.doubles.projects import TEMPLATE
from tests.doubles.targets import OneEmbeddedDeployment

WORKSPACE = WorkspaceId("shop-w1")


@dataclass
class Place:
    """One principal's workspace, and the services over it."""

    store: Store
    principal: PrincipalId
    root: Path
    projects: ProjectService
    targets: TargetService
    naps: Naps

    async def connect(
        self, cloud: FakeCloud, team: FakeTeam, kind: GrantKind = "oauth", project: FakeProject | None = None
    ) -> Grant:
        """Hold a grant for *team*, or for one *project* of it, as connecting leaves it."""
        grant = cloud.grant(kind, team, project)
        known = (
            Project(
                id=ProjectId(project.id),
                slug=project.slug,
                name=project.name,
                team_id=TeamId(team.id),
                team_slug=team.slug,
            )
            if project
            else None
        )
        connection = Connection(
            id=ConnectionId(f"c{grant.id}"),
            scope="project" if project else "team",
            grant="cli_login" if kind == "login" else kind,
            state="connected",
            team=Team(id=TeamId(team.id), slug=team.slug, name=team.name),
            project=known,
            started_at=datetime.now(UTC),
        )
        await self.store.connections.put_token(self.principal, connection, AccessTokenValue(SecretStr(grant.token)))
        return grant

    def env_local(self) -> str:
        return (self.root / ".env.local").read_text()


@dataclass
class Said(Progress):
    """Remembers what was reported."""

    steps: list[str] = field(default_factory=list)

    async def report(self, done: float, total: float, doing: str) -> None:
        self.steps.append(doing)


@asynccontextmanager
async def place(  # noqa: PLR0913 - three of them by name only
    store: Store,
    root: Path,
    host: str,
    *,
    principal: str = "p1",
    policy: Policy | None = None,
    workspace: WorkspaceId = WORKSPACE,
    deadline_s: float = 60,
) -> AsyncIterator[Place]:
    """Open the services that make and link projects at *host*. No wait takes any time; silence is one after 1 s."""
    root.mkdir(parents=True, exist_ok=True)
    naps, allowed, owner = Naps(), policy or Policy(), (PrincipalId(principal), workspace)
    management = HttpManagementApi(host, dashboard_host=host, retry=Retry(sleep=naps, jitter=0), answer_s=1)
    api = HttpDeploymentApi(retry=Retry(sleep=naps, jitter=0))
    sandbox = LocalSandbox(root, root.parent / f"{root.name}-state", PlainLauncher(), TEMPLATE)
    targets = TargetService(
        TargetPorts(store=store.targets, embedded=OneEmbeddedDeployment(), api=api), allowed, owner=owner
    )
    ports = ProvisioningPorts(
        api=management, connections=store.connections, runs=store.provisioning, leases=store.leases, sandbox=sandbox
    )
    bounds = ProvisioningBounds(deadline_s=deadline_s, lease_s=0.5)
    projects = ProjectService(ports, targets, allowed, owner=owner, bounds=bounds)
    try:
        yield Place(store, owner[0], root, projects, targets, naps)
    finally:
        await management.close()
        await api.close()
        await sandbox.close()


async def make_when_free(here: Place, name: str) -> LinkedProject:
    """Make a project, once the lease of whoever was killed at it has expired."""
    while True:
        try:
            return await here.projects.create_project(name)
        except PushUnderWay:
            await anyio.lowlevel.checkpoint()


async def _make(data_dir: str, root: str, host: str, name: str) -> None:
    async with open_data_dir(Path(data_dir)) as store, place(store, Path(root), host) as here:
        await make_when_free(here, name)


if __name__ == "__main__":
    anyio.run(_make, *json.loads(sys.argv[1]))
