"""Where a deployment is: its folder's lock, and the ports that it keeps across restarts."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mcp_convex.domain.errors import PortInUse
from mcp_convex.embedded import durable

LOOPBACK = "127.0.0.1"


class Urls(NamedTuple):
    """Where a deployment answers: clients and the CLI at `cloud`, HTTP actions at `site`."""

    cloud: str
    site: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a deployment keeps its things."""

    folder: Path
    node_modules: Path | None = None
    """The npm packages of the workspace, for node modules that import them unbundled."""
    port: int | None = None
    """Where the operator wants it to answer; None for the port that it had before, or one that is free."""

    @property
    def engine(self) -> Path:
        """The part of the folder that functions can see: no key and no env vars."""
        return self.folder / "engine"

    def packages(self) -> list[Path]:
        """Return the folder of npm packages, if it is there by now."""
        return [self.node_modules] if self.node_modules and self.node_modules.is_dir() else []


@contextlib.contextmanager
def locked(folder: Path) -> Generator[bool]:
    """
    Hold *folder* for this process while the block runs; yields whether that was possible.

    Raises:
        DirectoryUnusable: The folder cannot be written.
    """
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, durable.PRIVATE)
    except OSError as exc:
        raise durable.unusable(folder, exc) from exc
    try:
        yield _try_lock(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def listening(place: Place) -> Generator[tuple[Urls, socket.socket, socket.socket]]:
    """
    Listen on *place*'s two ports while the block runs, chosen now if this is the first time.

    Raises:
        PortInUse: Another program has taken one of them.
    """
    remembered = place.folder / "ports.json"
    ports = durable.read_json(remembered) or {"cloud": 0, "site": 0}
    elsewhere = f"delete `{remembered}` to have other ports chosen"
    wanted = "set MCP_CONVEX_EMBEDDED_PORT to another" if place.port else elsewhere
    with _bound(place.port or ports["cloud"], wanted) as cloud, _bound(ports["site"], elsewhere) as site:
        chosen = {"cloud": cloud.getsockname()[1], "site": site.getsockname()[1]}
        if chosen != ports:
            durable.write_json(remembered, chosen)
        yield _urls(chosen), cloud, site


def remembered_urls(folder: Path) -> Urls | None:
    """Return where *folder*'s deployment answers when it is served, if it ever was."""
    ports = durable.read_json(folder / "ports.json")
    return _urls(ports) if ports else None


def _urls(ports: dict[str, int]) -> Urls:
    return Urls(f"http://{LOOPBACK}:{ports['cloud']}", f"http://{LOOPBACK}:{ports['site']}")


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _bound(port: int, otherwise: str) -> socket.socket:
    # asyncio turns Nagle's algorithm off (40 ms an answer) only where the socket names its protocol.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Otherwise the port would be refused for a minute after a restart.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError as exc:
        listener.close()
        if exc.errno != errno.EADDRINUSE:
            raise
        raise PortInUse(
            f"The embedded deployment listens on port {port}, and another program has taken it.",
            next_step=f"End that program, or {otherwise}.",
        ) from exc
    return listener
