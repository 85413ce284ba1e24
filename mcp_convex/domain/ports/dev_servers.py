"""Which workspaces have a dev server, beyond the life of a process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mcp_convex.domain.dev_servers import DevServer
from mcp_convex.domain.models import PrincipalId, WorkspaceId


class DevServerStore(ABC):
    """At most one record a workspace."""

    @abstractmethod
    async def get(self, principal: PrincipalId, workspace: WorkspaceId) -> DevServer | None:
        """Return the workspace's dev server, or None where it never had one."""

    @abstractmethod
    async def put(self, principal: PrincipalId, workspace: WorkspaceId, server: DevServer) -> None:
        """Keep *server*, replacing what was there."""

    @abstractmethod
    async def on(self) -> Sequence[tuple[PrincipalId, WorkspaceId]]:
        """Return the workspaces whose dev server is on, of all principals."""
