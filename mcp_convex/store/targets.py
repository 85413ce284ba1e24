"""The deployment that a workspace is linked to, with its admin key encrypted."""

from __future__ import annotations

from pydantic import SecretStr
from sqlalchemy import RowMapping, delete, select

from mcp_convex.domain.connections import ConnectionId
from mcp_convex.domain.models import PrincipalId, Target, WorkspaceId
from mcp_convex.domain.ports import Reach, TargetStore
from mcp_convex.domain.secrets import AdminKeyValue
from mcp_convex.store.database import Database, decoding
from mcp_convex.store.dialects import upsert
from mcp_convex.store.encryption import Cipher
from mcp_convex.store.remembered import Remembered
from mcp_convex.store.tables import place, rows_of, targets


class SqlTargetStore(TargetStore):
    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher
        self._rows: Remembered[RowMapping | None] = Remembered(database)

    async def get(self, principal: PrincipalId, workspace: WorkspaceId) -> Reach | None:
        """
        Return the workspace's target, or None where it was never linked.

        Raises:
            StoreCorrupt: Its key cannot be decrypted with the keys at hand.
        """
        row = await self._rows.get((principal, workspace), lambda: self._row(principal, workspace))
        if row is None:
            return None
        with decoding():
            target = Target.model_validate({name: row[name] for name in Target.model_fields})
        key = self._cipher.open(row["credential"], place(targets.c.credential, principal, workspace))
        return Reach(target, AdminKeyValue(SecretStr(key)))

    async def put(
        self, principal: PrincipalId, workspace: WorkspaceId, reach: Reach, *, connection: ConnectionId | None = None
    ) -> None:
        sealed = self._cipher.seal(
            reach.credential.get_secret_value(), place(targets.c.credential, principal, workspace)
        )
        row = {
            "principal": principal,
            "workspace": workspace,
            **reach.target.model_dump(),
            "credential": sealed,
            "connection": connection,
        }
        async with self._database.writing() as database:
            await database.execute(upsert(database, targets, row))

    async def delete(self, principal: PrincipalId, workspace: WorkspaceId) -> bool:
        unlink = delete(targets).where(*rows_of(targets, principal, workspace))
        async with self._database.writing() as connection:
            return (await connection.execute(unlink)).rowcount > 0

    async def _row(self, principal: PrincipalId, workspace: WorkspaceId) -> RowMapping | None:
        wanted = select(targets).where(*rows_of(targets, principal, workspace))
        async with self._database.asking() as connection:
            return (await connection.execute(wanted)).mappings().one_or_none()
