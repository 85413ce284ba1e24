"""How far the making of each project has come, as JSON of the domain's own record."""

from __future__ import annotations

from sqlalchemy import select

from mcp_convex.domain.connections import ProvisioningRun
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports import ProvisioningStore
from mcp_convex.store.database import Database, decoding
from mcp_convex.store.dialects import upsert
from mcp_convex.store.tables import provisioning_runs, rows_of


class SqlProvisioningStore(ProvisioningStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, principal: PrincipalId, run: ProvisioningRun) -> None:
        row = {
            "principal": principal,
            "id": run.id,
            "workspace": run.workspace,
            "name": run.name,
            "is_open": run.step != "connected",
            "record": run.model_dump_json(),
        }
        async with self._database.writing() as connection:
            await connection.execute(upsert(connection, provisioning_runs, row))

    async def open_run(self, principal: PrincipalId, workspace: WorkspaceId, name: str) -> ProvisioningRun | None:
        wanted = select(provisioning_runs.c.record).where(
            *rows_of(provisioning_runs, principal, workspace),
            provisioning_runs.c.name == name,
            provisioning_runs.c.is_open,
        )
        async with self._database.asking() as connection:
            record = await connection.scalar(wanted)
        if record is None:
            return None
        with decoding():
            return ProvisioningRun.model_validate_json(record)
