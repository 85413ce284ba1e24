"""How often each principal may call: a bucket of tokens each, in one number."""

from __future__ import annotations

import time
from collections.abc import Callable

from mcp_convex.domain.models import PrincipalId

_SWEPT_FROM = 1024
"""Principals; from so many on, those whose bucket is full again are forgotten."""


class Rates:
    """
    Lets *a_minute* calls of each principal through a minute, and *burst* of them at once.

    What is kept of a principal is when their bucket will be full again (the generic cell rate algorithm).
    """

    def __init__(self, a_minute: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = 60 / a_minute
        self._slack_s = self._interval_s * (burst - 1)
        self._clock = clock
        self._full_at: dict[PrincipalId, float] = {}
        self._sweep_at = _SWEPT_FROM

    def take(self, principal: PrincipalId, *, patience_s: float) -> float:
        """Return in how many seconds *principal*'s call may begin. One that is to wait longer is not counted."""
        now = self._clock()
        full_at = max(self._full_at.get(principal, now), now)
        wait_s = max(0.0, full_at - now - self._slack_s)
        if wait_s <= patience_s:
            self._full_at[principal] = full_at + self._interval_s
            self._sweep(now)
        return wait_s

    def _sweep(self, now: float) -> None:
        if len(self._full_at) >= self._sweep_at:
            self._full_at = {principal: at for principal, at in self._full_at.items() if at > now}
            self._sweep_at = max(_SWEPT_FROM, 2 * len(self._full_at))
