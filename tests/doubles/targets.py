"""A store and an embedded deployment in memory, for tests of what builds on the workspace's target."""

from __future__ import annotations

from collections.abc import Callable

import httpx2
from pydantic import SecretStr

from mcp_convex.domain.models import LOCAL_PRINCIPAL, PrincipalId, Target, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import EmbeddedDeployments, Reach, TargetStore
from mcp_convex.domain.secrets import AdminKeyValue
from mcp_convex.services.targets import TargetPorts, TargetService
from tests.doubles.convex_deployment import KEY, api_of

OWNER = (LOCAL_PRINCIPAL, WorkspaceId("w1"))
EMBEDDED = Reach(
    Target(kind="embedded", name="embedded", url="http://127.0.0.1:4000", site_url="http://127.0.0.1:4001"),
    AdminKeyValue(SecretStr(KEY)),
)


class MemoryTargetStore(TargetStore):
    def __init__(self) -> None:
        self._linked: dict[tuple[PrincipalId, WorkspaceId], Reach] = {}

    async def get(self, principal: PrincipalId, workspace: WorkspaceId) -> Reach | None:
        return self._linked.get((principal, workspace))

    async def put(self, principal: PrincipalId, workspace: WorkspaceId, reach: Reach) -> None:
        self._linked[principal, workspace] = reach

    async def delete(self, principal: PrincipalId, workspace: WorkspaceId) -> bool:
        return self._linked.pop((principal, workspace), None) is not None


class OneEmbeddedDeployment(EmbeddedDeployments):
    async def ensure(self, workspace: WorkspaceId) -> Reach:
        return EMBEDDED


def targets_of(
    deployment: Callable[[httpx2.Request], httpx2.Response],
    store: TargetStore | None = None,
    policy: Policy | None = None,
) -> TargetService:
    """Return the service; whatever it reaches answers as *deployment*."""
    ports = TargetPorts(store=store or MemoryTargetStore(), embedded=OneEmbeddedDeployment(), api=api_of(deployment))
    return TargetService(ports, policy or Policy(), owner=OWNER)
