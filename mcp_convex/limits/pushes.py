"""What stands before every push on a server that many share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp_convex.domain.errors import TooManyPushes
from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports.progress import Progress
from mcp_convex.limits.turns import Bounds, Crowded, Turns

_PATIENCE_S = 60.0
_WAITING = 4
"""Pushes of one principal."""
_RETRY_S = 30


class Pushes:
    """Lets pushes begin in turns, *at_once* in all and *each* of one principal's at a time."""

    def __init__(self, *, at_once: int, each: int) -> None:
        self.turns = Turns(Bounds(at_once=at_once, each=each, waiting=_WAITING, patience_s=_PATIENCE_S))

    @asynccontextmanager
    async def begin(self, principal: PrincipalId, progress: Progress) -> AsyncGenerator[None]:
        """
        Wait for the turn of a push of *principal*, telling *progress* so, and keep it for the block.

        Raises:
            TooManyPushes: It did not come in time, or too many of theirs wait already.
        """
        try:
            async with self.turns.take(principal, progress):
                yield
        except Crowded:
            raise TooManyPushes(
                "The server is busy with other pushes. Nothing was pushed.",
                next_step=f"Wait {_RETRY_S} s, then call again.",
                retry_after_s=_RETRY_S,
            ) from None
