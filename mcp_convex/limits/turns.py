"""Whose turn it is where more is asked for than can be done at once: principals take turns, and waiting has an end."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports.progress import NoProgress, Progress

_TOLD_EVERY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much of one kind of work is done, and waits."""

    at_once: float
    """By all principals together; infinity for no bound."""
    each: int
    """By one principal."""
    waiting: int
    """Of one principal, beyond which the next is turned away."""
    patience_s: float
    """Seconds that one waits at most."""


class Crowded(Exception):
    """There is no turn to be had soon."""

    def __init__(self, *, retry_after_s: float) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class Turns:
    """
    One kind of work, within *bounds*.

    A turn that ends goes to the principal who has waited longest for one since their last, so that many
    calls of one principal do not hold up the first of another.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._busy: Counter[PrincipalId] = Counter()
        self.under_way = 0
        self._queues: OrderedDict[PrincipalId, deque[asyncio.Event]] = OrderedDict()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    @asynccontextmanager
    async def take(self, principal: PrincipalId, progress: Progress | None = None) -> AsyncGenerator[None]:
        """
        Wait for *principal*'s turn, telling *progress* so, and keep it for the block.

        Raises:
            Crowded: It did not come in time, or too many of theirs wait already.
        """
        if self._has_room(principal) and principal not in self._queues:
            self._begin(principal)
        else:
            await self._wait(principal, progress or NoProgress())
        try:
            yield
        finally:
            self._end(principal)

    def _has_room(self, principal: PrincipalId) -> bool:
        return self._busy[principal] < self._bounds.each and self.under_way < self._bounds.at_once

    async def _wait(self, principal: PrincipalId, progress: Progress) -> None:
        queue = self._queues.setdefault(principal, deque())
        if len(queue) >= self._bounds.waiting:
            self._drop_if_empty(principal)
            raise Crowded(retry_after_s=self._bounds.patience_s)
        turn = asyncio.Event()
        queue.append(turn)
        try:
            with anyio.move_on_after(self._bounds.patience_s):
                await self._told_to_wait(turn, progress)
        except BaseException:  # cancelled or failed: nobody else takes it out of the queue
            self._give_up(principal, turn)
            raise
        if not turn.is_set():
            self._give_up(principal, turn)
            raise Crowded(retry_after_s=self._bounds.patience_s)

    async def _told_to_wait(self, turn: asyncio.Event, progress: Progress) -> None:
        while not turn.is_set():
            await progress.report(0, 1, f"waiting for a turn: {self.under_way} under way, {self.waiting} waiting")
            with anyio.move_on_after(_TOLD_EVERY_S):
                await turn.wait()

    def _give_up(self, principal: PrincipalId, turn: asyncio.Event) -> None:
        if turn.is_set():  # it came at the very moment
            self._end(principal)
            return
        self._queues[principal].remove(turn)
        self._drop_if_empty(principal)

    def _begin(self, principal: PrincipalId) -> None:
        self._busy[principal] += 1
        self.under_way += 1

    def _end(self, principal: PrincipalId) -> None:
        self.under_way -= 1
        self._busy[principal] -= 1
        if not self._busy[principal]:
            del self._busy[principal]
        while (following := next(filter(self._has_room, self._queues), None)) is not None:
            self._queues[following].popleft().set()
            self._begin(following)
            self._queues.move_to_end(following)
            self._drop_if_empty(following)

    def _drop_if_empty(self, principal: PrincipalId) -> None:
        if not self._queues[principal]:
            del self._queues[principal]
