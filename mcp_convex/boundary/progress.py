"""Progress as a client shows it."""

from __future__ import annotations

from mcp_convex.boundary.spec import Ctx
from mcp_convex.domain.ports import Progress

_STEP = 0.001
"""By which progress goes on where a step is the same as before."""


class ContextProgress(Progress):
    """Reports to the client that made the call, if it asked for progress. Each number is higher, as MCP wants it."""

    def __init__(self, ctx: Ctx) -> None:
        self._ctx = ctx
        self._least = 0.0

    async def report(self, done: float, total: float, doing: str) -> None:
        done = max(done, self._least)
        self._least = done + _STEP
        await self._ctx.report_progress(done, total, doing)
