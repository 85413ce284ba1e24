"""What stands before every call of a principal on a server that many share."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from mcp_convex.domain.errors import TooManyCalls
from mcp_convex.domain.models import PrincipalId
from mcp_convex.limits.rates import Rates
from mcp_convex.limits.turns import Bounds, Crowded, Turns

_PATIENCE_S = 2.0
"""Seconds that a call beyond the rate waits, rather than being turned away."""
_TURN_S = 20.0
"""Seconds that a call waits for others of the same principal."""

_STREAMS = 64
"""Of one principal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallBounds:
    """What one principal may have."""

    a_minute: float
    """Zero for as many as they like."""
    burst: int
    at_once: int


class Calls:
    """Lets the calls of principals begin, within *bounds*."""

    def __init__(self, bounds: CallBounds) -> None:
        self._rates = Rates(bounds.a_minute, bounds.burst) if bounds.a_minute else None
        each = bounds.at_once
        self.turns = Turns(Bounds(at_once=math.inf, each=each, waiting=4 * each, patience_s=_TURN_S))
        self.streams = Turns(Bounds(at_once=math.inf, each=_STREAMS, waiting=0, patience_s=_TURN_S))

    @asynccontextmanager
    async def begin(self, principal: PrincipalId, *, is_stream: bool = False) -> AsyncGenerator[None]:
        """
        Let a call of *principal* begin, perhaps a little later, and count it as under way for the block.

        Args:
            is_stream: The client holds it open, and calls beside it; there is room for those that many windows need.

        Raises:
            TooManyCalls: They call too often, or too many of their calls are under way.
        """
        await self._count(principal)
        try:
            async with (self.streams if is_stream else self.turns).take(principal):
                yield
        except Crowded as exc:
            what = "streams are open" if is_stream else "calls are under way"
            raise _refused(f"Too many {what}.", exc.retry_after_s) from None

    async def _count(self, principal: PrincipalId) -> None:
        wait_s = self._rates.take(principal, patience_s=_PATIENCE_S) if self._rates else 0
        if wait_s > _PATIENCE_S:
            raise _refused("Calls come too often.", wait_s)
        if wait_s:
            await anyio.sleep(wait_s)


def _refused(message: str, retry_after_s: float) -> TooManyCalls:
    seconds = math.ceil(retry_after_s)
    return TooManyCalls(message, next_step=f"Wait {seconds} s, then call again.", retry_after_s=seconds)
