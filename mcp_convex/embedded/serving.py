"""Serving one deployment: the two servers, and what stands behind them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncGenerator, Generator

import anyio
import uvicorn
from anyio.abc import TaskGroup
from starlette.applications import Starlette

from mcp_convex.domain.ports import Launcher
from mcp_convex.domain.secrets import AdminKeyValue
from mcp_convex.embedded.app import applications
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.places import Place, Urls, listening

_MAX_MESSAGE = 64 * 1024 * 1024


@contextlib.asynccontextmanager
async def serving(name: str, place: Place, key: AdminKeyValue, launcher: Launcher) -> AsyncGenerator[Urls]:
    """
    Serve the deployment kept at *place*, whose folder this process has locked, until the block ends.

    Raises:
        PortInUse: One of its ports is taken by another program.
        ToolMissing: There is no Node, or it is too old. (Within a group, as task groups raise.)
    """
    with listening(place) as (urls, cloud, site):
        async with anyio.create_task_group() as tasks:
            deployment = Deployment(name, place, urls, launcher, tasks)
            await deployment.start()
            for_cloud, for_site = applications(deployment, key, place)
            try:
                async with (
                    anyio.create_task_group() as servers,
                    _served(for_cloud, cloud, servers),
                    _served(for_site, site, servers),
                ):
                    with contextlib.closing(deployment.logs):
                        yield urls
            finally:
                with anyio.CancelScope(shield=True):
                    await deployment.close()
            tasks.cancel_scope.cancel()


class _Server(uvicorn.Server):
    """A server that leaves signals to the process that it is part of."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@contextlib.asynccontextmanager
async def _served(app: Starlette, listener: socket.socket, tasks: TaskGroup) -> AsyncGenerator[None]:
    config = uvicorn.Config(
        app,
        http="h11",
        ws="websockets-sansio",
        ws_max_size=_MAX_MESSAGE,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)

    async def serve() -> None:
        # Cancelling would cut answers short: the server ends by being asked to.
        with anyio.CancelScope(shield=True):
            await server.serve([listener])

    tasks.start_soon(serve)
    try:
        yield
    finally:
        server.should_exit = True
