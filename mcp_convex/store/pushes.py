"""What came of each push, as JSON of the domain's own record."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from sqlalchemy import delete, select, tuple_

from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports import PushStore
from mcp_convex.domain.pushes import PushRecord
from mcp_convex.domain.snapshots import NewSnapshot
from mcp_convex.store.database import Database, decoding
from mcp_convex.store.dialects import upsert
from mcp_convex.store.snapshots import SqlSnapshotStore
from mcp_convex.store.tables import pushes, rows_of

KEPT = 200
"""Pushes of one workspace that the store keeps."""
_AT_A_TIME = 10
"""Most who ask want the latest few; a record may be long."""


class SqlPushStore(PushStore):
    def __init__(self, database: Database, snapshots: SqlSnapshotStore) -> None:
        self._database = database
        self._snapshots = snapshots

    async def add(self, principal: PrincipalId, record: PushRecord, new: NewSnapshot | None = None) -> None:
        row = {
            "principal": principal,
            "id": record.id,
            "workspace": record.workspace,
            "started_at": record.started_at.timestamp(),
            "record": record.model_dump_json(),
        }
        of_workspace = rows_of(pushes, principal, record.workspace)
        beyond = select(pushes.c.id).where(*of_workspace).order_by(*_NEWEST_FIRST).offset(KEPT)
        async with self._database.writing() as connection:
            if new is not None:
                await self._snapshots.put(connection, principal, new)
            await connection.execute(upsert(connection, pushes, row))
            await connection.execute(delete(pushes).where(*of_workspace, pushes.c.id.in_(beyond)))

    async def get(self, principal: PrincipalId, push_id: str) -> PushRecord:
        wanted = select(pushes.c.record).where(pushes.c.principal == principal, pushes.c.id == push_id)
        async with self._database.asking() as connection:
            found = await connection.scalar(wanted)
        if found is None:
            raise NotFound(f"No push has the id `{push_id}`.", next_step="Use the `id` that a `push` returned.")
        return _decoded(found)

    async def latest(self, principal: PrincipalId, workspace: WorkspaceId) -> AsyncGenerator[PushRecord]:
        of_workspace = rows_of(pushes, principal, workspace)
        wanted = select(pushes).where(*of_workspace).order_by(*_NEWEST_FIRST).limit(_AT_A_TIME)
        older = wanted
        while True:
            async with self._database.asking() as connection:
                rows = (await connection.execute(older)).all()
            for row in rows:
                yield _decoded(row.record)
            if len(rows) < _AT_A_TIME:
                break
            older = wanted.where(tuple_(pushes.c.started_at, pushes.c.id) < (rows[-1].started_at, rows[-1].id))


_NEWEST_FIRST = pushes.c.started_at.desc(), pushes.c.id.desc()


def _decoded(record: str) -> PushRecord:
    with decoding():
        return PushRecord.model_validate_json(record)
