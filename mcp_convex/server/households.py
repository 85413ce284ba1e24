"""Each principal's workspaces in the hosted shape: opened by the first call, closed once nobody calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field

from mcp_convex.boundary.opening import LazyServices
from mcp_convex.domain.models import PrincipalId
from mcp_convex.services import Services

Whose = tuple[PrincipalId, str]
"""A principal, and what they call their workspace."""
OpenFor = Callable[[PrincipalId, str], AbstractAsyncContextManager[Services]]


@dataclass(slots=True)
class _Household:
    services: LazyServices
    calls: int = 0
    idle_since: float = 0
    """Seconds on the monotonic clock; of no account while calls are under way."""
    closed: asyncio.Event | None = field(default=None)
    """Set once closing is through; None before it begins."""


class Households:
    """
    The services of every (principal, workspace) that has been called of late.

    Two calls for one get the same services, so that what a workspace has only one of is opened
    only once. While one closes, whoever calls for it waits.
    """

    def __init__(self, open_for: OpenFor, *, idle_s: float) -> None:
        self._open_for = open_for
        self._idle_s = idle_s
        self._open: dict[Whose, _Household] = {}

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

    async def close_idle(self) -> None:
        """Close, for as long as this runs, what nobody has called for the time that it may be idle."""
        while True:
            await asyncio.sleep(self._idle_s / 4)
            latest = time.monotonic() - self._idle_s
            idle = [whose for whose, one in self._open.items() if not one.calls and one.idle_since <= latest]
            for whose in idle:
                if not self._open[whose].calls:
                    await self._close(whose)

    async def aclose(self) -> None:
        """Close them all, and return when they are."""
        await asyncio.gather(*map(self._close, list(self._open)))

    async def _admitted(self, whose: Whose) -> _Household:
        while (known := self._open.get(whose)) is not None and known.closed is not None:
            await known.closed.wait()
        if known is None:
            known = self._open[whose] = _Household(LazyServices(lambda: self._open_for(*whose)))
        return known

    async def _close(self, whose: Whose) -> None:
        household = self._open[whose]
        household.closed = asyncio.Event()
        try:
            await household.services.aclose()
        finally:
            del self._open[whose]
            household.closed.set()


@asynccontextmanager
async def opened_households(open_for: OpenFor, *, idle_s: float) -> AsyncGenerator[Households]:
    """Keep households for the block."""
    households = Households(open_for, idle_s=idle_s)
    closing = asyncio.create_task(households.close_idle())
    try:
        yield households
    finally:
        closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing
        await households.aclose()
