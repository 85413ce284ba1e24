"""Each principal's workspaces in the hosted shape: opened by the first call, closed once nobody calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

from mcp_convex.boundary.opening import LazyServices
from mcp_convex.domain.errors import TooManyWorkspaces
from mcp_convex.domain.models import PrincipalId
from mcp_convex.services import Services

_RETRY_S = 15

Whose = tuple[PrincipalId, str]
"""A principal, and what they call their workspace."""
OpenFor = Callable[[PrincipalId, str], AbstractAsyncContextManager[Services]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many workspaces are open at a time."""

    each: int
    """Of one principal."""
    all: int


@dataclass(slots=True)
class _Household:
    services: LazyServices
    is_open: bool = False
    """Or opening, or closing."""
    is_kept: bool = False
    """From being closed for want of calls, though not where others need its room."""
    calls: int = 0
    idle_since: float = 0
    """Seconds on the monotonic clock; of no account while calls are under way."""
    closed: asyncio.Event | None = None
    """Set once closing is through; None before it begins."""


class Households:
    """
    The services of every (principal, workspace) that has been called of late.

    Two calls for one get the same services, so that what a workspace has only one of is opened
    only once. While one closes, whoever calls for it waits.
    """

    def __init__(self, open_for: OpenFor, *, idle_s: float, room: Room) -> None:
        self._open_for = open_for
        self._idle_s = idle_s
        self._room = room
        self._open: dict[Whose, _Household] = {}

    @property
    def open(self) -> int:
        """How many are open."""
        return sum(one.is_open for one in self._open.values())

    @asynccontextmanager
    async def of(self, principal: PrincipalId, workspace: str) -> AsyncGenerator[LazyServices]:
        """Return the services of a principal's workspace, which stay open for the block at least."""
        household = await self._admitted((principal, workspace))
        household.calls += 1
        try:
            yield household.services
        finally:
            household.calls -= 1
            household.idle_since = time.monotonic()

    @asynccontextmanager
    async def keep(self, principal: PrincipalId, workspace: str) -> AsyncGenerator[None]:
        """Keep a workspace that is open, or opening, from being closed for want of calls while the block runs."""
        household = self._open[principal, workspace]
        household.is_kept = True
        try:
            yield
        finally:
            household.is_kept = False

    async def close_idle(self) -> None:
        """Close, for as long as this runs, what nobody has called for the time that it may be idle."""
        while True:
            await asyncio.sleep(self._idle_s / 4)
            latest = time.monotonic() - self._idle_s
            unused = [(whose, one) for whose, one in self._open.items() if not one.calls and not one.is_kept]
            idle = [whose for whose, one in unused if one.idle_since <= latest]
            for whose in idle:
                if (one := self._open.get(whose)) is not None and not one.calls and one.closed is None:
                    await self._close(whose)

    async def aclose(self) -> None:
        """Close them all, and return when they are."""
        await asyncio.gather(*map(self._close, list(self._open)))

    async def _admitted(self, whose: Whose) -> _Household:
        while (known := self._open.get(whose)) is not None and known.closed is not None:
            await known.closed.wait()
        if known is None:
            known = self._open[whose] = _Household(LazyServices(lambda: self._opened(whose)))
        return known

    @asynccontextmanager
    async def _opened(self, whose: Whose) -> AsyncGenerator[Services]:
        while (in_the_way := self._in_the_way_of(whose)) is not None:
            await self._close(in_the_way)
        household = self._open[whose]
        household.is_open = True
        try:
            async with self._open_for(*whose) as services:
                yield services
        finally:
            household.is_open = False

    def _in_the_way_of(self, whose: Whose) -> Whose | None:
        """
        Return the one that has to be closed before *whose* can be opened; None where there is room.

        Raises:
            TooManyWorkspaces: All that could make room are being called.
        """
        are_open = [other for other, one in self._open.items() if one.is_open]
        own = [other for other in are_open if other[0] == whose[0]]
        candidates = own if len(own) >= self._room.each else are_open if len(are_open) >= self._room.all else []
        if not candidates:
            return None
        idle = [other for other in candidates if not self._open[other].calls and self._open[other].closed is None]
        if not idle:
            raise TooManyWorkspaces(
                "No other workspace can be opened while calls are under way in those that are open.",
                next_step=f"Wait {_RETRY_S} s, then call again.",
                retry_after_s=_RETRY_S,
            )
        return min(idle, key=lambda other: self._open[other].idle_since)

    async def _close(self, whose: Whose) -> None:
        household = self._open[whose]
        household.closed = asyncio.Event()
        try:
            await household.services.aclose()
        finally:
            del self._open[whose]
            household.closed.set()


@asynccontextmanager
async def opened_households(open_for: OpenFor, *, idle_s: float, room: Room) -> AsyncGenerator[Households]:
    """Keep households for the block."""
    households = Households(open_for, idle_s=idle_s, room=room)
    closing = asyncio.create_task(households.close_idle())
    try:
        yield households
    finally:
        closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing
        await households.aclose()
