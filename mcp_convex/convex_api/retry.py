"""When a request is sent again, and how long to wait before that."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from mcp_convex.convex_api.failures import Failure

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Retry:
    """
    Repeats what failed for a passing reason. Only for requests that may arrive twice.

    Convex's CLI (1.48) goes on to 8 and 16 s. Here an agent waits for the answer, and can call again itself.
    """

    delays_s: Sequence[float] = (0.0, 1.0, 2.0, 4.0)
    jitter: float = 0.2
    """At most this share of a delay is added to it, so that many callers do not return at once."""
    longest_s: float = 8.0
    """A `Retry-After` beyond this is left to the agent."""
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep

    async def run(self, attempt: Callable[[], Awaitable[T | Failure]]) -> T | Failure:
        """Return the first answer, or the failure that no repetition mends."""
        for delay_s in self.delays_s:
            outcome = await attempt()
            if not isinstance(outcome, Failure) or not outcome.passing:
                return outcome
            wait_s = max(delay_s * (1 + random.uniform(0, self.jitter)), outcome.after_s)  # noqa: S311 - no secret
            if wait_s > self.longest_s:
                return outcome
            await self.sleep(wait_s)
        return await attempt()
