"""A confined program while it runs: its output, its end, and the end of all that it started."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import re
import sys
from collections.abc import Callable

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

    @property
    def has_ended(self) -> bool:
        return self._output.over.is_set()

    async def wait(self) -> int:
        await self._output.over.wait()
        code = self._transport.get_returncode() or 0
        return code if code >= 0 else 128 - code


class SupervisedProcess(_Process):
    """A program whose supervisor, at the other end of its standard input, ends everything when that is closed."""

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


class BubblewrappedProcess(SupervisedProcess):
    """A program in a process table of its own, which the kernel empties when its first process dies."""

    def __init__(self, transport: asyncio.SubprocessTransport, output: _Output, info_fd: int) -> None:
        super().__init__(transport, output)
        self._info_fd = info_fd
        self._info = b""
        self._watched_fd = -1
        self._emptied = asyncio.Event()
        asyncio.get_running_loop().add_reader(info_fd, self._learn)

    async def wait(self) -> int:
        code = await super().wait()
        while self._info_fd >= 0:
            self._learn()
        await self._emptied.wait()
        return code

    def _learn(self) -> None:
        """Read which process is the first inside, and watch it while its number is still its own."""
        if said := os.read(self._info_fd, 4096):
            self._info += said
            if self._watched_fd < 0 and (first := re.search(rb'"child-pid": *(\d+)\D', self._info)):
                self._watch(int(first[1]))
            return
        asyncio.get_running_loop().remove_reader(self._info_fd)
        os.close(self._info_fd)
        self._info_fd = -1
        if self._watched_fd < 0:
            self._emptied.set()

    def _watch(self, first: int) -> None:
        if sys.platform == "linux":
            with contextlib.suppress(OSError):  # it is gone, or the kernel is older than 5.3
                self._watched_fd = os.pidfd_open(first)
                asyncio.get_running_loop().add_reader(self._watched_fd, self._note_end)

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watched_fd)
        os.close(self._watched_fd)
        self._emptied.set()


async def start_bubblewrapped(
    command_line: Callable[[int], list[str]], env: dict[str, str], pass_fds: tuple[int, ...], on_output: OnOutput
) -> ConfinedProcess:
    """Start what *command_line* returns for the descriptor on which bubblewrap reports."""
    ours, theirs = os.pipe()
    try:
        transport, output = await _spawn(command_line(theirs), env, (*pass_fds, theirs), on_output)
    except BaseException:  # cancelled or failed: nobody else closes it
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return BubblewrappedProcess(transport, output, ours)


async def start_supervised(
    command_line: list[str], env: dict[str, str], pass_fds: tuple[int, ...], on_output: OnOutput
) -> ConfinedProcess:
    """Start *command_line*, that of a supervisor."""
    return SupervisedProcess(*await _spawn(command_line, env, pass_fds, on_output))


async def _spawn(
    argv: list[str], env: dict[str, str], pass_fds: tuple[int, ...], on_output: OnOutput
) -> tuple[asyncio.SubprocessTransport, _Output]:
    transport, protocol = await asyncio.get_running_loop().subprocess_exec(
        lambda: _Output(on_output),
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd="/",
        env=env,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    return transport, protocol
