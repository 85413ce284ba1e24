"""A confined program while it runs: its output, its end, and the end of all that it started."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import cast

from mcp_convex.domain.ports import ConfinedProcess, OnOutput

_SECONDS_TO_END = 5
"""How long a supervisor has for killing what it watches, before it is killed itself."""


class _Output(asyncio.SubprocessProtocol):
    """Hands the output on, decoded, and knows when the program has ended and the last of it has come."""

    def __init__(self, on_output: OnOutput) -> None:
        self._on_output = on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._transport: asyncio.BaseTransport | None = None
        self.over = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - asyncio's signature
        if text := self._decoder.decode(data):
            self._on_output(text)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if rest := self._decoder.decode(b"", final=True):
            self._on_output(rest)
        if self._transport is not None:
            self._transport.close()
        self.over.set()


class _Process(ConfinedProcess):
    def __init__(self, transport: asyncio.SubprocessTransport, output: _Output) -> None:
        self._transport = transport
        self._output = output
        self.pid = transport.get_pid()

    async def wait(self) -> int:
        await self._output.over.wait()
        code = self._transport.get_returncode() or 0
        return code if code >= 0 else 128 - code


class BubblewrappedProcess(_Process):
    """A program in a process table of its own, which the kernel empties when its first process dies."""

    def __init__(self, transport: asyncio.SubprocessTransport, output: _Output, info_fd: int) -> None:
        super().__init__(transport, output)
        self._info_fd = info_fd
        self._emptied = asyncio.Lock()

    async def wait(self) -> int:
        code = await super().wait()
        async with self._emptied:
            if self._info_fd >= 0:
                await _gone(_first_inside(self._info_fd))
                self._info_fd = -1
        return code

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._transport.kill()
        await self.wait()


class SupervisedProcess(_Process):
    """A program under `supervise.py`, which ends everything when its standard input is closed."""

    async def kill(self) -> None:
        control = self._transport.get_pipe_transport(0)
        if control is not None:
            control.close()
        try:
            async with asyncio.timeout(_SECONDS_TO_END):
                await self.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._transport.kill()


async def start_bubblewrapped(
    command_line: Callable[[int], list[str]], env: dict[str, str], pass_fds: tuple[int, ...], on_output: OnOutput
) -> ConfinedProcess:
    """Start what *command_line* returns for the descriptor on which bubblewrap reports."""
    ours, theirs = os.pipe()
    try:
        transport, output = await _spawn(command_line(theirs), env, (*pass_fds, theirs), on_output)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return BubblewrappedProcess(transport, output, ours)


async def start_supervised(
    command_line: list[str], env: dict[str, str], pass_fds: tuple[int, ...], on_output: OnOutput
) -> ConfinedProcess:
    """Start *command_line*, that of a supervisor."""
    return SupervisedProcess(*await _spawn(command_line, env, pass_fds, on_output, stdin=asyncio.subprocess.PIPE))


async def _spawn(
    argv: list[str],
    env: dict[str, str],
    pass_fds: tuple[int, ...],
    on_output: OnOutput,
    *,
    stdin: int = asyncio.subprocess.DEVNULL,
) -> tuple[asyncio.SubprocessTransport, _Output]:
    transport, protocol = await asyncio.get_running_loop().subprocess_exec(
        lambda: _Output(on_output),
        *argv,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
        env=env,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    return transport, protocol


def _first_inside(info_fd: int) -> int | None:
    """Return the process that bubblewrap named on *info_fd*, which is closed, as this machine numbers it."""
    with os.fdopen(info_fd, "rb") as info:
        said = info.read()
    try:
        return cast("int", json.loads(said)["child-pid"])
    except (ValueError, KeyError):
        return None


async def _gone(pid: int | None) -> None:
    """Return when *pid*, and with it everything in its process table, has ended."""
    if pid is None or sys.platform != "linux":
        return
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(fd, ended.set)
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        await ended.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
