"""What was done, as JSON of the domain's own events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, insert, literal, select

from mcp_convex.domain.audit import AuditEvent, digest
from mcp_convex.domain.models import Arguments, PrincipalId
from mcp_convex.domain.ports import AuditStore
from mcp_convex.store.database import Database, decoding
from mcp_convex.store.dialects import database_clock
from mcp_convex.store.tables import audit_events

KEPT = timedelta(days=90)
_AT_A_TIME = 1_000


class SqlAuditStore(AuditStore):
    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._key = key

    def digest(self, arguments: Arguments) -> str:
        return digest(arguments, self._key)

    async def add(self, principal: PrincipalId, event: AuditEvent) -> None:
        row = {"principal": principal, "at": event.at.timestamp(), "record": event.model_dump_json()}
        is_there = exists().where(*(audit_events.c[name] == value for name, value in row.items()))
        values = (literal(value, audit_events.c[name].type) for name, value in row.items())
        # After a connection that was lost before the answer, the event is added again.
        new = insert(audit_events).from_select([*row], select(*values).where(~is_there))
        too_old = audit_events.c.at < database_clock() - KEPT.total_seconds()
        async with self._database.writing() as connection:
            await connection.execute(new)
            await connection.execute(delete(audit_events).where(too_old))

    async def latest(self, principal: PrincipalId, *, limit: int) -> tuple[AuditEvent, ...]:
        newest_first = audit_events.c.at.desc(), audit_events.c.number.desc()
        wanted = select(audit_events.c.record).where(audit_events.c.principal == principal)
        async with self._database.asking() as connection:
            records = (await connection.scalars(wanted.order_by(*newest_first).limit(limit))).all()
        with decoding():
            return tuple(AuditEvent.model_validate_json(record) for record in records)

    async def all(
        self, *, since: datetime | None, principal: PrincipalId | None
    ) -> AsyncIterator[tuple[PrincipalId, AuditEvent]]:
        wanted = select(audit_events).order_by(audit_events.c.number).limit(_AT_A_TIME)
        if since is not None:
            wanted = wanted.where(audit_events.c.at >= since.timestamp())
        if principal is not None:
            wanted = wanted.where(audit_events.c.principal == principal)
        last, is_over = 0, False
        while not is_over:
            # Transactions are short, so that no writer waits for the reader of the lines.
            async with self._database.asking() as connection:
                rows = (await connection.execute(wanted.where(audit_events.c.number > last))).all()
            for row in rows:
                with decoding():
                    event = AuditEvent.model_validate_json(row.record)
                yield PrincipalId(row.principal), event
            last, is_over = rows[-1].number if rows else last, len(rows) < _AT_A_TIME
