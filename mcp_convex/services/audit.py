"""What was done in a principal's name: written once a call has ended, read back by that principal only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from mcp_convex.domain.audit import AuditEvent, AuditLog
from mcp_convex.domain.models import Arguments, PrincipalId
from mcp_convex.domain.ports import AuditStore
from mcp_convex.services.pages import utc_now
from mcp_convex.services.targets import TargetService

SHOWN = 100


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
        linked = await self._targets.linked()
        event = AuditEvent(
            at=self._now() - timedelta(seconds=duration_s),
            tool=tool,
            target=linked.name if linked else None,
            arguments=self._store.digest(arguments),
            outcome=outcome,
            duration_s=round(duration_s, 3),
        )
        await self._store.add(self._principal, event)

    async def latest(self) -> AuditLog:
        """Return the latest events, newest first."""
        return AuditLog(events=await self._store.latest(self._principal, limit=SHOWN))
