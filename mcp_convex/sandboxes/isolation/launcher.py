"""Starts programs in the isolation that the operator chose, or in the best one that works here."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

from mcp_convex.domain.errors import DirectoryUnusable, IsolationUnavailable, ToolMissing
from mcp_convex.domain.models import LocalIsolation
from mcp_convex.domain.ports import ConfinedProcess, Launch, Launcher, OnOutput
from mcp_convex.sandboxes.isolation import landlock, supervise
from mcp_convex.sandboxes.isolation.bubblewrap import command_line, find_bubblewrap
from mcp_convex.sandboxes.isolation.processes import start_bubblewrapped, start_supervised
from mcp_convex.sandboxes.isolation.system import LIMITS, lowered
from mcp_convex.sandboxes.node import find_node


class ConfinedLauncher(Launcher):
    """
    Confines programs by *mode*.

    `bwrap` gives a program a file tree and a process table of its own; `strict` is the same, for
    programs that also go without a network; `landlock` has the kernel refuse other files; `none`
    only scrubs the environment. `auto` takes the first of `bwrap`, `landlock` and `none` that
    works. In every mode the program ends with this server, and all that it started ends with it.
    """

    def __init__(self, mode: Literal["auto"] | LocalIsolation = "auto", *, niceness: int = 0) -> None:
        """
        Confine programs by *mode*.

        Args:
            niceness: By how much all of them yield to this server, and to all else here, beside what each does itself.
        """
        self._asked: Literal["auto"] | LocalIsolation = mode
        self._niceness = niceness

    @property
    def mode(self) -> LocalIsolation:
        if self._asked != "auto":
            return self._asked
        if find_bubblewrap():
            return "bwrap"
        return "landlock" if landlock.version() else "none"

    async def start(self, launch: Launch, on_output: OnOutput) -> ConfinedProcess:
        mode: LocalIsolation = await asyncio.to_thread(lambda: self.mode)
        launch = replace(launch, niceness=launch.niceness + self._niceness)
        launch, readable = await asyncio.to_thread(_prepared, launch)
        env, fds = dict(launch.env), tuple(launch.pass_fds)
        if mode in {"bwrap", "strict"}:
            if (program := find_bubblewrap()) is None:
                raise _unavailable(mode, "bubblewrap may not make namespaces here")
            return await start_bubblewrapped(
                lambda info_fd: command_line(program, launch, readable=readable, info_fd=info_fd), env, fds, on_output
            )
        if mode == "none":
            return await start_supervised(_supervised(launch, -1), env, fds, on_output)
        if not landlock.version():
            raise _unavailable(mode, "this kernel has no Landlock")
        rules = landlock.ruleset(launch, readable=readable)
        try:
            return await start_supervised(_supervised(launch, rules), env, (*fds, rules), on_output)
        finally:
            os.close(rules)


def _prepared(launch: Launch) -> tuple[Launch, tuple[Path, ...]]:
    """Return *launch* with its program found, and what that program needs to read."""
    missing = [path for path in (*launch.writable, *launch.mounts, launch.cwd) if not path.exists()]
    if missing:
        raise DirectoryUnusable(
            f"`{missing[0]}` does not exist.", next_step="Create the directory, or start the server for another."
        )
    name = launch.argv[0]
    if Path(name).name == "node":
        node = find_node()
        return replace(launch, argv=[str(node.program), *launch.argv[1:]]), node.readable
    if (program := shutil.which(name, path=launch.env.get("PATH", os.defpath))) is None:
        raise ToolMissing(f"There is no program `{name}`.", next_step=f"Install `{name}`.")
    return replace(launch, argv=[program, *launch.argv[1:]]), ()


def _supervised(launch: Launch, ruleset_fd: int) -> list[str]:
    shell = ["/bin/sh", "-c", f'{LIMITS}; cd "$0" && exec "$@"', str(launch.cwd), *lowered(launch.niceness)]
    return [*shell, sys.executable, "-I", "-S", supervise.__file__, str(ruleset_fd), *launch.argv]


def _unavailable(mode: LocalIsolation, why: str) -> IsolationUnavailable:
    return IsolationUnavailable(
        f"The isolation `{mode}` does not work on this machine: {why}.",
        next_step="Enable it, or have the operator set MCP_CONVEX_ISOLATION=auto.",
    )
