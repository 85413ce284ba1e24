"""`mcp-convex doctor`: says what this machine has and lacks for the work, and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from rich.console import Console

from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.ports import Launch
from mcp_convex.sandboxes import ConfinedLauncher, find_node
from mcp_convex.server import open_services
from mcp_convex.settings import Settings


class Check(NamedTuple):
    """One thing to look at; `look` returns what it found, or raises what is wrong."""

    title: str
    look: Callable[[Settings], Awaitable[str]]


async def examine(settings: Settings) -> int:
    """Look at everything, print what was found, and return 0 when nothing is wrong, else 1."""
    console = Console(highlight=False, soft_wrap=True)
    wrong = 0
    for check in _CHECKS:
        try:
            console.print(f"[green]ok[/]  {check.title}: {await check.look(settings)}")
        except ConvexMcpError as exc:
            wrong += 1
            console.print(f"[red]no[/]  {check.title}: {exc.message}\n    Next step: {exc.next_step}")
    return int(wrong > 0)


async def _node(_: Settings) -> str:
    return str((await asyncio.to_thread(find_node)).program)


async def _npm(_: Settings) -> str:
    return str(await asyncio.to_thread(lambda: find_node().npm()))


async def _isolation(settings: Settings) -> str:
    launcher = ConfinedLauncher(settings.isolation)
    said: list[str] = []
    folder = settings.workspace
    launch = Launch(argv=["node", "-p", "'runs'"], cwd=folder, env={}, readable=[folder])
    process = await launcher.start(launch, said.append)
    await process.wait()
    return f"{launcher.mode}; Node {''.join(said).strip()} in it"


async def _services(settings: Settings) -> str:
    async with open_services(settings) as services:
        count = len(await services.files.list())
    return f"{settings.workspace} with {count} files; data in {settings.data_dir}"


_CHECKS = (
    Check("Node", _node),
    Check("npm", _npm),
    Check("isolation", _isolation),
    Check("workspace and store", _services),
)
