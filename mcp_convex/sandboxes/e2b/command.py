"""One command in a box: its output, its way to the gate, its deadline and its end."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anyio

from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Command, OnOutput
from mcp_convex.sandboxes import convex_json
from mcp_convex.sandboxes.e2b.answers import CommandEnded
from mcp_convex.sandboxes.e2b.box import Box, Job, Message
from mcp_convex.sandboxes.e2b.failures import translated
from mcp_convex.sandboxes.e2b.forwarding import Forwarder
from mcp_convex.sandboxes.e2b.mirror import Mirror

GATE_PORT = 28793
"""In the box, where a port that others are likely to use would be in their way."""
_GRACE_S = 10.0
"""How long a box has for ending a command, beyond the command's own deadline."""
_CONVEX_JSON = FilePath("convex.json")

Until = Callable[[], Awaitable[None]] | None


class Run(NamedTuple):
    """A command that is over."""

    ended: CommandEnded
    stopped: bool
    """It did not come to its own end."""
    timed_out: bool


async def run_command(box: Box, mirror: Mirror, command: Command, on_output: OnOutput, until: Until) -> Run:
    """
    Run *command* in *box* to its end, its deadline, or until *until* returns.

    Raises:
        SandboxLost: The box is gone, or does not answer.
    """
    await box.extend(command.deadline_s + _GRACE_S)
    forwarder = Forwarder(command.gate) if command.gate else None

    async def hear(job: Job, message: Message) -> None:
        if "out" in message:
            on_output(message["out"])
        elif forwarder is not None:
            await forwarder.hear(job, message)

    job = await box.start("run", await _request(mirror, command), hear)
    try:
        stopped, timed_out = await _race(job, command.deadline_s, until)
        if stopped:
            await job.send({"stop": True})
        async with translated(min(_GRACE_S, box.patience_s)):
            return Run(await job.answer(CommandEnded), stopped, timed_out)
    finally:
        await job.end()
        if forwarder is not None:
            await forwarder.aclose()


async def _request(mirror: Mirror, command: Command) -> dict[str, Any]:
    settings = (await mirror.contents([_CONVEX_JSON])).get(_CONVEX_JSON)
    return {
        "id": secrets.token_hex(8),
        "argv": list(command.argv),
        "env": dict(command.env),
        "keep": list(command.keep),
        "deadline": command.deadline_s + _GRACE_S,
        "port": GATE_PORT if command.gate else None,
        "rules": await mirror.rules(),
        "replaced": {} if settings is None else {_CONVEX_JSON: convex_json.staged(settings.decode(errors="replace"))},
    }


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
