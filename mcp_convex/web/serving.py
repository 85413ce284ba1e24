"""Serving the pages on this machine: from the first link on, and only while somebody may still come."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mcp_convex.domain.connections import PendingPage
from mcp_convex.domain.errors import PortInUse
from mcp_convex.domain.ports import Pages

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

STAYS = timedelta(minutes=10)
"""How long a page's port stays open after the page has expired: who consented in time may still be at Convex."""

_BACKLOG = 128
_NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class LocalPages(Pages):
    """
    Pages at `http://localhost:<port>`, for browsers on this machine.

    The port is fixed, since the redirect URI that is registered at Convex names it. It is given
    back between times, so that several servers on one machine can take turns.
    """

    def __init__(self, port: int, make_app: Callable[[], ASGIApp]) -> None:
        self._port = port
        self._make_app = make_app
        self._lock = asyncio.Lock()
        self._server: uvicorn.Server | None = None
        self._until = datetime.now(UTC)
        self._closing: asyncio.Task[None] | None = None

    @property
    def origin(self) -> str:
        """Where the pages are. By name, so that page and callback share the browser's cookie."""
        return f"http://localhost:{self._port}"

    @property
    def callback_url(self) -> str:
        return f"{self.origin}/convex/callback"

    async def link(self, page: PendingPage) -> str:
        async with self._lock:
            self._until = max(self._until, page.expires_at + STAYS)
            if self._server is None:
                self._server = await _serve(self._make_app(), _listeners(self._port))
                self._closing = asyncio.create_task(self._close_in_time())
        return f"{self.origin}/convex/pages/{page.handle}"

    async def aclose(self) -> None:
        """Stop serving."""
        if self._closing is not None:
            self._closing.cancel()
            with suppress(asyncio.CancelledError):
                await self._closing
        await self._close()

    async def _close_in_time(self) -> None:
        while self._server is not None:  # each page puts the end off
            await asyncio.sleep((self._until - datetime.now(UTC)).total_seconds())
            async with self._lock:
                if self._until <= datetime.now(UTC):
                    await self._close()

    async def _close(self) -> None:
        if self._server is not None:
            await self._server.shutdown()
            self._server = None


async def _serve(app: ASGIApp, listeners: list[socket.socket]) -> uvicorn.Server:
    import uvicorn  # noqa: PLC0415 - the server answers its first request before it needs this

    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        access_log=False,  # it would log the code that Convex sends
        proxy_headers=False,  # whoever connects would say from where
        server_header=False,
        date_header=False,
        ws="none",
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=listeners)  # not serve(), which would take over the process's signals
    return server


def _listeners(port: int) -> list[socket.socket]:
    """
    Return sockets on both addresses that `localhost` may mean.

    Raises:
        PortInUse: One of them is taken.
    """
    listeners: list[socket.socket] = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            listeners.append(_bound(family, host, port))
        except OSError as exc:
            if family == socket.AF_INET6 and exc.errno in _NO_IPV6:
                continue
            for listener in listeners:
                listener.close()
            raise _taken(port) from exc
    return listeners


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Or the port could not be taken again for a minute. On these systems it lets nobody share a listening port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _taken(port: int) -> PortInUse:
    return PortInUse(
        f"Port {port}, on which pages for the person are served, is taken: by another program, or by another"
        " mcp-convex whose person has not finished.",
        next_step="Ask the person to finish there, or to end that program; the operator can set"
        " MCP_CONVEX_PAGES_PORT to another port, and register its redirect URI at Convex.",
    )
