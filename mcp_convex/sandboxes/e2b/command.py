"""One command in a box: its output, its way to the gate, its deadline and its end."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import anyio

from mcp_convex.domain.errors import SandboxError, SandboxLost
from mcp_convex.domain.ports import Command, OnOutput, Staged
from mcp_convex.sandboxes.e2b.answers import CommandEnded, Said
from mcp_convex.sandboxes.e2b.box import SECONDS_TO_END, Box, Job, Message
from mcp_convex.sandboxes.e2b.failures import translated
from mcp_convex.sandboxes.e2b.forwarding import Forwarder
from mcp_convex.sandboxes.e2b.mirror import Mirror
from mcp_convex.sandboxes.output import KeptOutput
from mcp_convex.sandboxes.replaced import is_replaced, replaced

GATE = "127.0.0.1:28793"
"""Where a command line says that the gate is. Our program in the box puts the port there at which it listens."""
_GRACE_S = 10.0
"""How much longer than the server the box itself waits before it ends a command."""

_STOP: Message = {"stop": True}

Until = Callable[[], Awaitable[None]] | None


class Run(NamedTuple):
    """A command that is over."""

    ended: CommandEnded
    output: str
    stopped: bool
    """It did not come to its own end."""
    timed_out: bool


class BoxedCommand:
    """
    A command in a box. See it through until it has `finished`, or `end` it.

    Every method but `end` raises `SandboxLost` where the box is gone, or does not answer.
    """

    def __init__(self, box: Box, command: Command, stage: str, on_output: OnOutput) -> None:
        """
        Have *command* ready for a `start` or a `wait`, of which there has to be one before all else.

        Args:
            stage: The folder in which it sees its copy of the sources, by its name among those of ours.
        """
        self.box = box
        self.command = command
        self.output = KeptOutput(on_output)
        self.id = secrets.token_hex(8)
        self._stage = stage
        self._forwarder = Forwarder(command.gate) if command.gate else None
        self._job: Job

    @property
    def is_over(self) -> bool:
        """Say whether it has ended, or is not to be heard any more."""
        return self._job.is_over

    async def start(self, mirror: Mirror) -> None:
        """Have it run."""
        await self.box.extend(self.command.deadline_s + _GRACE_S)
        files = await mirror.visible()
        await self._start({**await _sources(mirror), "order": _order(self.command)})
        _tell(self.command, Staged(files, mirror.content))

    async def wait(self, mirror: Mirror) -> None:
        """Have it load and wait for its order."""
        await self._start(await _sources(mirror))

    async def order(self, command: Command, mirror: Mirror) -> None:
        """Have it run as *command* says, on the sources of now; not where its premises do not hold any more."""
        self.command = command
        await self.box.extend(command.deadline_s + _GRACE_S)
        files = await mirror.visible()
        await self._job.send({"go": {**await _sources(mirror), **_order(command)}})
        _tell(self.command, Staged(files, mirror.content))

    async def finished(self, until: Until) -> Run:
        """Return once it has come to its end, its deadline, or *until* has returned; it is ended in any case."""
        try:
            stopped, timed_out = await _race(self._job, self.command.deadline_s, until)
            if stopped:
                with suppress(SandboxLost):  # it may have ended by itself just now: its answer tells
                    await self._job.send(_STOP)
            async with translated(self.box.patience_s):
                ended = await self._job.answer(CommandEnded)
        finally:
            await self.end()
        return Run(ended, self.output.tail(), stopped, timed_out)

    async def end(self) -> None:
        """End it, if it has not come to its end."""
        with anyio.CancelScope(shield=True):
            if not self._job.is_over:
                with suppress(SandboxError):
                    async with translated(SECONDS_TO_END):
                        await self._job.send(_STOP)
                        await self._job.ended()
            await self._job.end()
            if self._forwarder is not None:
                await self._forwarder.aclose()

    async def _start(self, request: Message) -> None:
        command = self.command
        what = {"id": self.id, "stage": self._stage, "argv": list(command.argv), "env": dict(command.env)}
        gate = GATE if command.gate else None
        self._job = await self.box.start("run", {**what, "gate": gate, **request}, self._hear)

    async def _hear(self, job: Job, said: Said) -> None:
        if said.out is not None:
            self.output(said.out)
        elif self._forwarder is not None:
            await self._forwarder.hear(job, said)


async def _sources(mirror: Mirror) -> dict[str, Any]:
    """Return what the box needs for copying the sources to where a command sees them."""
    settings = await mirror.contents(path for path in (await mirror.state()).files if is_replaced(path))
    instead = {path: replaced(path, data).decode(errors="replace") for path, data in settings.items()}
    return {"rules": await mirror.rules(), "replaced": instead}


def _order(command: Command) -> dict[str, Any]:
    return {"keep": list(command.keep), "deadline": command.deadline_s + _GRACE_S}


def _tell(command: Command, staged: Staged) -> None:
    """Say that the sources are in place: what comes from the gate now arrives after the order to put them there."""
    if command.on_staged is not None:
        command.on_staged(staged)


async def _race(job: Job, deadline_s: float, until: Until) -> tuple[bool, bool]:
    """Wait for the command's own end, its deadline or *until*; say whether it is to be stopped, and why."""
    stopped = False
    with anyio.move_on_after(deadline_s) as deadline:
        async with anyio.create_task_group() as race:

            async def end_early() -> None:
                nonlocal stopped
                if until is not None:
                    await until()
                    stopped = True
                    race.cancel_scope.cancel()

            race.start_soon(end_early)
            await job.ended()
            race.cancel_scope.cancel()
    return stopped or deadline.cancelled_caught, deadline.cancelled_caught
