"""What a person sees at once of a workspace's backend, as this server has it: nobody else is asked."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from mcp_convex.domain.connections import Connection
from mcp_convex.domain.dev_servers import DevPush, DevServerStatus
from mcp_convex.domain.models import Model, Target
from mcp_convex.services.connections import ConnectionService
from mcp_convex.services.dev_servers import DevServerService
from mcp_convex.services.pushes import PushService

_PUSHES = 10


class Overview(Model):
    """Connections, deployment, dev server and the latest pushes."""

    connections: tuple[Connection, ...] = Field(description="Newest first.")
    target: Target | None = Field(description="None while the embedded deployment serves.")
    dev_server: DevServerStatus
    pushes: tuple[DevPush, ...] = Field(description="The latest ones, newest first.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewService:
    """Puts together what other services know."""

    connections: ConnectionService
    dev_servers: DevServerService
    pushes: PushService

    async def look(self) -> Overview:
        """Return all of it as it stands."""
        connected = await self.connections.look()
        return Overview(
            connections=connected.connections,
            target=connected.target,
            dev_server=await self.dev_servers.status(),
            pushes=await self.pushes.recent(_PUSHES),
        )
