"""Where the gate listens: a port of this machine, and for strict isolation a Unix socket, both from first use on."""

from __future__ import annotations

import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from mcp_convex.domain.errors import DirectoryUnusable, PortInUse

if TYPE_CHECKING:
    import uvicorn

_BACKLOG = 128


class Listener:
    """One ASGI application on at most two sockets, in the event loop of the first caller."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = anyio.Lock()
        self._servers: list[uvicorn.Server] = []
        self._url: str | None = None
        self._folder: Path | None = None

    async def url(self) -> str:
        """
        Return `http://127.0.0.1:<port>`.

        Raises:
            PortInUse: The machine gives out no port.
        """
        async with self._lock:
            if self._url is None:
                sock = _tcp_socket()
                await self._start(sock)
                self._url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            return self._url

    async def socket_path(self) -> Path:
        """
        Return the Unix socket, which nobody but this process's owner may open.

        Raises:
            DirectoryUnusable: The temporary folder cannot hold a socket.
        """
        async with self._lock:
            if self._folder is None:
                folder = Path(tempfile.mkdtemp(prefix="mcp-convex-"))
                await self._start(_unix_socket(folder / "gate"))
                self._folder = folder
            return self._folder / "gate"

    async def aclose(self) -> None:
        """Stop listening, and remove the socket."""
        async with self._lock:
            while self._servers:
                await self._servers.pop().shutdown()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._url = self._folder = None

    async def _start(self, sock: socket.socket) -> None:
        import uvicorn  # noqa: PLC0415 - the server answers its first request before it needs this

        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            ws="none",
            timeout_graceful_shutdown=1,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[sock])  # not serve(), which would take over the process's signals
        self._servers.append(server)


def _tcp_socket() -> socket.socket:
    # asyncio turns Nagle's algorithm off (40 ms an answer) only where the socket names its protocol.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.bind(("127.0.0.1", 0))
    except OSError as exc:
        sock.close()
        raise PortInUse(
            "The gate found no free port on this machine.", next_step="End programs that hold many ports open."
        ) from exc
    return sock


def _unix_socket(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        path.chmod(0o600)
    except OSError as exc:
        sock.close()
        raise DirectoryUnusable(
            f"`{path.parent}` cannot hold a socket.", next_step="Set TMPDIR to a short, writable path."
        ) from exc
    return sock
