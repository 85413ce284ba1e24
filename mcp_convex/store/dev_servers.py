"""Which workspaces have a dev server, as JSON of the domain's own record."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from mcp_convex.domain.dev_servers import DevServer
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports import DevServerStore
from mcp_convex.store.database import Database, decoding
from mcp_convex.store.dialects import upsert
from mcp_convex.store.tables import dev_servers, rows_of


class SqlDevServerStore(DevServerStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, principal: PrincipalId, workspace: WorkspaceId) -> DevServer | None:
        wanted = select(dev_servers.c.record).where(*rows_of(dev_servers, principal, workspace))
        async with self._database.asking() as connection:
            found = await connection.scalar(wanted)
        with decoding():
            return None if found is None else DevServer.model_validate_json(found)

    async def put(self, principal: PrincipalId, workspace: WorkspaceId, server: DevServer) -> None:
        row = {
            "principal": principal,
            "workspace": workspace,
            "is_on": server.on,
            "record": server.model_dump_json(),
        }
        async with self._database.writing() as connection:
            await connection.execute(upsert(connection, dev_servers, row))

    async def on(self) -> Sequence[tuple[PrincipalId, WorkspaceId]]:
        wanted = select(dev_servers.c.principal, dev_servers.c.workspace).where(dev_servers.c.is_on)
        async with self._database.asking() as connection:
            rows = (await connection.execute(wanted)).all()
        return [(PrincipalId(principal), WorkspaceId(workspace)) for principal, workspace in rows]
