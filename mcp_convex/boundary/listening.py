"""Listening on a port until told to end, and then ending in such a way that no call under way is lost."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from mcp_convex.boundary.http import HttpFront
from mcp_convex.domain.errors import PortInUse

if TYPE_CHECKING:
    import uvicorn

_BACKLOG = 1024
_LAST_WORDS_S = 2
"""Seconds in which what clients hold open comes to its end, before it is broken off."""


def bound(host: str, port: int) -> socket.socket:
    """
    Return a socket that listens there.

    Raises:
        PortInUse: It cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as exc:
        sock.close()
        raise PortInUse(
            f"{host} port {port} cannot be listened on: {exc.strerror}.",
            next_step="End what listens there, or set MCP_CONVEX_LISTEN_HOST and MCP_CONVEX_LISTEN_PORT to another.",
        ) from None
    return sock


def is_loopback(host: str) -> bool:
    """Say whether *host* is an address, or the name, of this machine to itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_in_url(host: str) -> str:
    """Return *host* as a URL names it."""
    return f"[{host}]" if ":" in host else host


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited. All in seconds."""

    drain_s: float
    """For calls under way, once the server has been told to end."""
    client_s: int = 75
    """
    For the next request of a connection, for all of it to come, and for its answer to be read.

    A balancer keeps its connections for a minute, and takes one that closes under it for an error.
    """


async def serve_http(
    front: HttpFront, sock: socket.socket, on_ready: Callable[[], None], stopping: asyncio.Event, patience: Patience
) -> None:
    """
    Serve at *sock* until *stopping* is set; then calls under way may finish.

    Args:
        on_ready: Called once requests are answered.
    """
    server = _server(front, patience.client_s)
    try:
        async with front.running():
            await server.startup(sockets=[sock])  # not serve(), which would take over the process's signals
            on_ready()
            await stopping.wait()
            for listener in server.servers:
                listener.close()
            with anyio.move_on_after(patience.drain_s):
                await front.drain()
    finally:
        if server.started:
            with anyio.CancelScope(shield=True):
                await server.shutdown(sockets=[sock])


def _server(front: HttpFront, patience_s: int) -> uvicorn.Server:
    import uvicorn  # noqa: PLC0415 - slow to import; stdio does without

    from mcp_convex.boundary.patience import PatientHttp  # noqa: PLC0415 - as above

    config = uvicorn.Config(
        front.app,
        interface="asgi3",
        http=PatientHttp,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # any client could claim to come from anywhere
        server_header=False,
        ws="none",
        timeout_keep_alive=patience_s,
        timeout_graceful_shutdown=_LAST_WORDS_S,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server
