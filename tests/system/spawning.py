"""`mcp-convex` as a process of its own, spoken with over its standard input and output."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from mcp_convex.settings import Settings
from tests.system.processes import running
from tests.world import World

LEASE_S = 2
"""How long a killed server stands in the next one's way here."""


def command(settings: Settings, *words: str) -> list[str]:
    """Return the command line of `mcp-convex` with *words*, for what *settings* say of places, isolation and arming."""
    places = ["--workspace", str(settings.workspace), "--data-dir", str(settings.data_dir)]
    arming = "--armed-pushes" if settings.armed_pushes else "--no-armed-pushes"
    bounds = ["--isolation", settings.isolation, "--push-lease-s", str(LEASE_S), arming]
    return [sys.executable, "-m", "mcp_convex", *words, *places, *bounds]


@asynccontextmanager
async def spawned(
    settings: Settings, *, mode: str = "auto", env: Mapping[str, str] | None = None, under: tuple[str, ...] = ()
) -> AsyncIterator[World]:
    """Spawn a server as an IDE does, with *env* beside what the SDK's client passes on, started by *under*."""
    program, *args = [*under, *command(settings)]
    server = StdioServerParameters(command=program, args=args, env=dict(env or {}))
    async with Client(stdio_client(server), mode=mode) as client:
        yield World(client=client, settings=settings, era=mode)


def server_of(settings: Settings) -> int:
    """Return the process id of the one server that is spawned for the workspace."""
    (pid,) = (pid for pid in running(settings.workspace) if b"\0mcp_convex\0" in _command_line(pid))
    return pid


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()
