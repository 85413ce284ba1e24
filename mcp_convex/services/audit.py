"""What was done in a principal's name: written once a call has ended, read back by that principal only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from mcp_convex.domain.audit import AuditEvent, AuditLog
from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.models import Arguments, PrincipalId
from mcp_convex.domain.ports import AuditStore
from mcp_convex.services.pages import utc_now
from mcp_convex.services.targets import TargetService

SHOWN = 100
UNKNOWN = "?"


class AuditService:
    def __init__(
        self,
        store: AuditStore,
        targets: TargetService,
        *,
        owner: PrincipalId,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._targets = targets
        self._principal = owner
        self._now = now

    async def record(self, tool: str, arguments: Arguments, *, outcome: str, duration_s: float) -> None:
        """Keep that *tool* was called and has come to *outcome* after *duration_s* seconds, just now."""
        event = AuditEvent(
            at=self._now() - timedelta(seconds=duration_s),
            tool=tool,
            target=await self._target(),
            arguments=self._store.digest(arguments),
            outcome=outcome,
            duration_s=round(duration_s, 3),
        )
        await self._store.add(self._principal, event)

    async def _target(self) -> str | None:
        try:
            linked = await self._targets.linked()
        except ConvexMcpError:  # the call is over, and is kept whatever else is known
            return UNKNOWN
        return linked.name if linked else None

    async def latest(self) -> AuditLog:
        """Return the latest events, newest first."""
        return AuditLog(events=await self._store.latest(self._principal, limit=SHOWN))
