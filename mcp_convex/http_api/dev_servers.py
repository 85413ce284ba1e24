"""The dev server of a workspace: while it is on, each write goes live by itself."""

from __future__ import annotations

from mcp_convex.boundary.operations import Call, Nothing, operation
from mcp_convex.domain.dev_servers import DevServerStatus


@operation("POST", "/api/convex/dev/start", tool="dev_server")
async def start_dev_server(call: Call, asked: Nothing) -> DevServerStatus:
    """Turn the dev server on, which pushes what is not live yet; one that is on stays on."""
    del asked
    return await call.services.dev_servers.start()


@operation("POST", "/api/convex/dev/stop", tool="dev_server")
async def stop_dev_server(call: Call, asked: Nothing) -> DevServerStatus:
    """Turn the dev server off, once a push that is under way is over; one that is off stays off."""
    del asked
    return await call.services.dev_servers.stop()


OPERATIONS = (start_dev_server, stop_dev_server)
