"""A launcher that confines nothing, for tests of what is launched."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal

import anyio
from anyio.abc import Process

from mcp_convex.domain.errors import ToolMissing
from mcp_convex.domain.models import IsolationMode
from mcp_convex.domain.ports import ConfinedProcess, Launch, Launcher, OnOutput


class PlainProcess(ConfinedProcess):
    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def wait(self) -> int:
        return await self._process.wait()

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()


class PlainLauncher(Launcher):
    def __init__(self) -> None:
        self.started: list[PlainProcess] = []

    @property
    def mode(self) -> IsolationMode:
        return "none"

    async def start(self, launch: Launch, on_output: OnOutput) -> ConfinedProcess:
        program = shutil.which(launch.argv[0])
        if program is None:
            raise ToolMissing(f"There is no `{launch.argv[0]}`.", next_step="Install it.")
        with open(os.devnull, "r+b") as nothing:  # noqa: ASYNC230, PTH123  # it never blocks
            process = await anyio.open_process(
                [program, *launch.argv[1:]],
                cwd=launch.cwd,
                env=dict(launch.env),
                stdin=nothing,
                stdout=nothing,
                stderr=nothing,
                pass_fds=tuple(launch.pass_fds),
                start_new_session=True,
            )
        self.started.append(PlainProcess(process))
        return self.started[-1]
