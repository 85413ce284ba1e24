"""Places in lists, under short random ids."""

from __future__ import annotations

import secrets
from datetime import timedelta

from sqlalchemy import delete, insert, select

from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports.cursors import CursorStore
from mcp_convex.store.database import Database
from mcp_convex.store.dialects import database_clock
from mcp_convex.store.tables import cursors, rows_of

KEPT = timedelta(hours=1)


class SqlCursorStore(CursorStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, principal: PrincipalId, workspace: WorkspaceId, place: str) -> str:
        key = {"principal": principal, "workspace": workspace, "id": secrets.token_urlsafe(6)}
        expires_at = database_clock() + KEPT.total_seconds()
        async with self._database.writing() as connection:
            await connection.execute(delete(cursors).where(cursors.c.expires_at <= database_clock()))
            await connection.execute(insert(cursors).values({**key, "expires_at": expires_at, "place": place}))
        return key["id"]

    async def find(self, principal: PrincipalId, workspace: WorkspaceId, short: str) -> str | None:
        wanted = select(cursors.c.place).where(
            *rows_of(cursors, principal, workspace),
            cursors.c.id == short,
            cursors.c.expires_at > database_clock(),
        )
        async with self._database.asking() as connection:
            return await connection.scalar(wanted)
