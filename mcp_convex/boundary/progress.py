"""Progress as a client shows it."""

from __future__ import annotations

from mcp_convex.boundary.spec import Ctx
from mcp_convex.domain.ports import Progress


class ContextProgress(Progress):
    """Reports to the client that made the call, if it asked for progress."""

    def __init__(self, ctx: Ctx) -> None:
        self._ctx = ctx

    async def report(self, done: float, total: float, doing: str) -> None:
        await self._ctx.report_progress(done, total, doing)
