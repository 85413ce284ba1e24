"""How a workspace stands, in one look."""

from __future__ import annotations

from pydantic import Field

from mcp_convex.boundary.operations import Call, Nothing, operation
from mcp_convex.domain.connections import Connection
from mcp_convex.domain.dev_servers import DevPush, DevServerStatus
from mcp_convex.domain.models import Model, Target


class Status(Model):
    connection: Connection | None = Field(description="The newest of this principal's.")
    connections: tuple[Connection, ...] = Field(description="All of them, newest first: one a team or project.")
    target: Target | None = Field(description="None while the embedded deployment of this server serves.")
    dev_server: DevServerStatus | None = Field(description="None where the caller may not know of pushes.")
    last_push: DevPush | None = Field(description="None before the first, or where the caller may not know of pushes.")


@operation("GET", "/api/convex/status", tool="get_connection")
async def status(call: Call, asked: Nothing) -> Status:
    """Tell how the workspace stands: connection, deployment, dev server, and the latest push."""
    del asked
    seen = await call.services.connections.look()
    dev_server = await call.services.dev_servers.status() if call.serving.shows("push") else None
    return Status(
        connection=seen.connections[0] if seen.connections else None,
        connections=seen.connections,
        target=seen.target,
        dev_server=dev_server,
        last_push=dev_server and dev_server.last_push,
    )


OPERATIONS = (status,)
