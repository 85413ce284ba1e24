"""Whether a workspace's dev server is on: what the store says, and whether that still holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mcp_convex.domain.dev_servers import DevServer
from mcp_convex.domain.models import PrincipalId, Target, WorkspaceId
from mcp_convex.domain.ports import Announcements, DevServerStore
from mcp_convex.domain.ports.announcing import DEV_SERVER
from mcp_convex.services.targets import TargetService


@dataclass(frozen=True, slots=True, kw_only=True)
class DevRecords:
    """The record of one workspace's dev server."""

    store: DevServerStore
    announcements: Announcements
    targets: TargetService
    owner: tuple[PrincipalId, WorkspaceId]

    async def latest(self) -> DevServer | None:
        """Return it, on or off; None where the workspace never had one."""
        return await self.store.get(*self.owner)

    async def current(self) -> DevServer | None:
        """Return it if it is on; end it where the workspace has another deployment by now."""
        server = await self.latest()
        if server is None or not server.on:
            return None
        linked = await self.targets.linked()
        if (linked.url if linked else None) != (None if server.target.kind == "embedded" else server.target.url):
            await self.end(server, f"The workspace does not push to `{server.target.name}` any more.")
            return None
        return server

    async def begin(self, target: Target, at: datetime) -> None:
        """Turn it on, unless it is."""
        if await self.current() is None:
            await self._keep(DevServer(on=True, started_at=at, since=at, target=target))

    async def end(self, server: DevServer, because: str | None = None) -> None:
        """Turn *server* off; *because* says why, where nobody asked for it."""
        await self._keep(server.model_copy(update={"on": False, "since": datetime.now(UTC), "because": because}))

    async def _keep(self, server: DevServer) -> None:
        await self.store.put(*self.owner, server)
        await self.announcements.updated(DEV_SERVER)
