"""What came of each push, as JSON of the domain's own record."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from sqlalchemy import delete, select

from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports import PushStore
from mcp_convex.domain.pushes import PushRecord
from mcp_convex.store.database import Database, decoding
from mcp_convex.store.dialects import upsert
from mcp_convex.store.tables import pushes

KEPT = 200
"""Pushes of one workspace that the store keeps."""


class SqlPushStore(PushStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, principal: PrincipalId, record: PushRecord) -> None:
        row = {
            "principal": principal,
            "id": record.id,
            "workspace": record.workspace,
            "started_at": record.started_at.timestamp(),
            "record": record.model_dump_json(),
        }
        of_workspace = pushes.c.principal == principal, pushes.c.workspace == record.workspace
        beyond = select(pushes.c.id).where(*of_workspace).order_by(*_NEWEST_FIRST).offset(KEPT)
        async with self._database.writing() as connection:
            await connection.execute(upsert(connection, pushes, row))
            await connection.execute(delete(pushes).where(*of_workspace, pushes.c.id.in_(beyond)))

    async def get(self, principal: PrincipalId, push_id: str) -> PushRecord:
        wanted = select(pushes.c.record).where(pushes.c.principal == principal, pushes.c.id == push_id)
        async with self._database.reading() as connection:
            found = await connection.scalar(wanted)
        if found is None:
            raise NotFound(f"No push has the id `{push_id}`.", next_step="Use the `id` that a `push` returned.")
        return _decoded(found)

    async def latest(self, principal: PrincipalId, workspace: WorkspaceId) -> AsyncGenerator[PushRecord]:
        wanted = select(pushes.c.record).where(pushes.c.principal == principal, pushes.c.workspace == workspace)
        async with self._database.reading() as connection:
            records = (await connection.scalars(wanted.order_by(*_NEWEST_FIRST))).all()
        for record in records:
            yield _decoded(record)


_NEWEST_FIRST = pushes.c.started_at.desc(), pushes.c.id.desc()


def _decoded(record: str) -> PushRecord:
    with decoding():
        return PushRecord.model_validate_json(record)
