"""Events that could not be written at once: they wait, and are written as soon as that can be."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime

import anyio

from mcp_convex.domain.audit import AuditEvent
from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.models import Arguments, PrincipalId
from mcp_convex.domain.ports import AuditStore

logger = logging.getLogger(__name__)

_AT_ONCE_S = 1.0
"""Seconds that a call waits while the database is away; what it has done stands."""
_AT_LAST_S = 5.0
"""Seconds that a server which ends goes on trying."""
_PAUSE_S = 0.5
_MOST = 10_000
"""Events that wait, of less than a KB each."""


class AuditOutbox(AuditStore):
    """Adds events to *store*, however long that takes. One that cannot be written in the end is logged in full."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store
        self._late: deque[tuple[PrincipalId, AuditEvent]] = deque()
        self._wake = asyncio.Event()

    def digest(self, arguments: Arguments) -> str:
        return self._store.digest(arguments)

    async def latest(self, principal: PrincipalId, *, limit: int) -> tuple[AuditEvent, ...]:
        return await self._store.latest(principal, limit=limit)

    def all(
        self, *, since: datetime | None, principal: PrincipalId | None
    ) -> AsyncIterator[tuple[PrincipalId, AuditEvent]]:
        return self._store.all(since=since, principal=principal)

    async def add(self, principal: PrincipalId, event: AuditEvent) -> None:
        """Keep *event*, now or later: this never fails."""
        is_written = False
        try:
            with anyio.move_on_after(_AT_ONCE_S), suppress(ConvexMcpError):
                await self._store.add(principal, event)
                is_written = True
        finally:
            if not is_written:
                self._postpone(principal, event)

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        """Write, for the block, what was late, and once more at its end."""
        task = asyncio.create_task(self._keep_writing())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with anyio.move_on_after(_AT_LAST_S, shield=True), suppress(ConvexMcpError):
                await self._write()
            while self._late:
                self._give_up_oldest()

    def _postpone(self, principal: PrincipalId, event: AuditEvent) -> None:
        if not self._late:
            logger.warning("audit: the store does not take events; they wait")
        self._late.append((principal, event))
        if len(self._late) > _MOST:
            self._give_up_oldest()
        self._wake.set()

    async def _keep_writing(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._late:
                with suppress(ConvexMcpError):
                    await self._write()
                    break
                await asyncio.sleep(_PAUSE_S)

    async def _write(self) -> None:
        while self._late:
            await self._store.add(*self._late[0])
            self._late.popleft()

    def _give_up_oldest(self) -> None:
        principal, event = self._late.popleft()
        logger.error("audit: could not be kept: %s %s", principal, event.model_dump_json())
