"""`mcp-convex doctor`: says what this machine has and lacks for the work, and changes nothing in the workspace."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape

from mcp_convex.domain.errors import ConvexMcpError, IsolationUnavailable, SettingsInvalid
from mcp_convex.domain.ports import Launch
from mcp_convex.sandboxes import ConfinedLauncher, find_node
from mcp_convex.server import open_services
from mcp_convex.server.e2b import has_template
from mcp_convex.settings import Settings

_SHOWN = 400
"""Characters of what a program said that did not run."""


class Check(NamedTuple):
    """One thing to look at; `look` returns what it found, or raises what is wrong."""

    title: str
    look: Callable[[Settings], Awaitable[str]]


async def examine(settings: Settings) -> int:
    """Look at everything, print what was found, and return 0 when nothing is wrong, else 1."""
    console = Console(highlight=False, soft_wrap=True)
    wrong: set[str] = set()
    for check in _CHECKS:
        try:
            console.print(f"[green]ok[/]  {check.title}: {escape(await check.look(settings))}")
        except ConvexMcpError as exc:
            console.print(f"[red]no[/]  {check.title}: {escape(exc.message)}")
            if exc.message not in wrong:  # without Node, for one, several checks fail for one reason
                console.print(f"    Next step: {escape(exc.next_step)}")
            wrong.add(exc.message)
    return int(bool(wrong))


async def _node(_: Settings) -> str:
    return str((await asyncio.to_thread(find_node)).program)


async def _npm(_: Settings) -> str:
    return str(await asyncio.to_thread(lambda: find_node().npm()))


async def _isolation(settings: Settings) -> str:
    launcher = ConfinedLauncher(settings.isolation)
    said: list[str] = []
    launch = Launch(argv=["node", "-p", "'runs'"], cwd=Path("/"), env={})
    process = await launcher.start(launch, said.append)
    if await process.wait() != 0:
        raise IsolationUnavailable(
            f"Node does not run in the isolation `{launcher.mode}`: {''.join(said).strip()[:_SHOWN]}",
            next_step="Set MCP_CONVEX_ISOLATION to another, such as `none`.",
        )
    return f"{launcher.mode}; Node {''.join(said).strip()} in it"


async def _workspace(settings: Settings) -> str:
    async with open_services(settings) as services:
        count = len(await services.files.list())
    kept = settings.data_dir if settings.database_url is None else "PostgreSQL"
    return f"{settings.workspace} with {count} files; data in {kept}"


async def _deployment(settings: Settings) -> str:
    async with open_services(settings) as services:
        target = (await services.targets.reach()).target
    return f"{target.name} ({target.kind}) answers"


async def _e2b(settings: Settings) -> str:
    if settings.sandbox != "e2b":
        return "not used"
    name, is_there = await has_template(settings)
    if not is_there:
        raise SettingsInvalid(
            f"The account at E2B has no template `{name}`.", next_step="Run `mcp-convex e2b build-template`."
        )
    return f"the account has the template {name}"


_CHECKS = (
    Check("Node", _node),
    Check("npm", _npm),
    Check("isolation", _isolation),
    Check("E2B", _e2b),
    Check("workspace and store", _workspace),
    Check("deployment", _deployment),
)
