"""A command that was started ahead in a box, and waits there for the moment in which it is needed."""

from __future__ import annotations

from mcp_convex.domain.errors import SandboxLost
from mcp_convex.domain.ports import Command, OnOutput
from mcp_convex.sandboxes.e2b.box import Box
from mcp_convex.sandboxes.e2b.command import BoxedCommand
from mcp_convex.sandboxes.e2b.mirror import Mirror


class Armed:
    """At most one command that waits."""

    def __init__(self, mirror: Mirror, stage: str) -> None:
        self._mirror = mirror
        self._stage = stage
        self._waiting: BoxedCommand | None = None

    def id_in(self, box: Box) -> str | None:
        """Return the mark of what waits in *box*, for those who clear up there."""
        return self._waiting.id if self._waiting is not None and self._waiting.box is box else None

    async def arm(self, box: Box, command: Command) -> None:
        """
        Start *command* in *box*, in place of what waited.

        Raises:
            SandboxLost: The box is gone, or does not answer.
        """
        await self.disarm()
        waiting = BoxedCommand(box, command, self._stage, lambda _: None)
        await waiting.wait(self._mirror)
        self._waiting = waiting

    async def ordered(self, box: Box, command: Command, on_output: OnOutput) -> BoxedCommand | None:
        """Return what waits for *command*, now ordered to run in *box*; None where there is no such any more."""
        waiting = self._waiting
        if waiting is None or (waiting.command.argv, waiting.command.env) != (command.argv, command.env):
            return None
        self._waiting = None
        is_ordered = False
        try:
            if waiting.box is box and not waiting.is_over:
                waiting.output.on_output = on_output
                await waiting.order(command, self._mirror)
                is_ordered = True
        except SandboxLost:  # or it alone is gone: what is started anew will tell
            pass
        finally:
            if not is_ordered:
                await waiting.end()
        return waiting if is_ordered else None

    async def disarm(self) -> None:
        """End what waits."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            await waiting.end()
