"""A principal's grants at Convex, with their tokens encrypted."""

from __future__ import annotations

from pydantic import SecretStr
from sqlalchemy import ColumnElement, delete, select

from mcp_convex.domain.connections import Connection, ConnectionId
from mcp_convex.domain.errors import NotConnected
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports import ConnectionStore
from mcp_convex.domain.secrets import AccessTokenValue
from mcp_convex.store.database import Database, decoding
from mcp_convex.store.dialects import upsert
from mcp_convex.store.encryption import Cipher
from mcp_convex.store.remembered import Remembered
from mcp_convex.store.tables import connections, flows, place, targets


class SqlConnectionStore(ConnectionStore):
    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher
        self._lists: Remembered[tuple[Connection, ...]] = Remembered(database)

    async def put(self, principal: PrincipalId, connection: Connection) -> None:
        await self._put(_row(principal, connection))

    async def put_token(self, principal: PrincipalId, connection: Connection, token: AccessTokenValue) -> None:
        sealed = self._cipher.seal(token.get_secret_value(), place(connections.c.token, principal, connection.id))
        await self._put({**_row(principal, connection), "token": sealed})

    async def list(self, principal: PrincipalId) -> tuple[Connection, ...]:
        return await self._lists.get(principal, lambda: self._listed(principal))

    async def _listed(self, principal: PrincipalId) -> tuple[Connection, ...]:
        newest_first = connections.c.started_at.desc(), connections.c.id.desc()
        wanted = select(connections.c.record).where(connections.c.principal == principal).order_by(*newest_first)
        async with self._database.asking() as database:
            records = (await database.scalars(wanted)).all()
        with decoding():
            return tuple(Connection.model_validate_json(record) for record in records)

    async def token(self, principal: PrincipalId, connection: ConnectionId) -> AccessTokenValue:
        """
        Return a connection's token.

        Raises:
            NotConnected: There is none.
            StoreCorrupt: It cannot be decrypted with the keys at hand.
        """
        async with self._database.asking() as database:
            sealed = await database.scalar(select(connections.c.token).where(*_is(principal, connection)))
        if sealed is None:
            raise NotConnected("There is no such connection to Convex.", next_step="Call `connect`.")
        token = self._cipher.open(sealed, place(connections.c.token, principal, connection))
        return AccessTokenValue(SecretStr(token))

    async def delete(self, principal: PrincipalId, connection: ConnectionId) -> tuple[WorkspaceId, ...]:
        through_it = targets.c.principal == principal, targets.c.connection == connection
        of_it = flows.c.principal == principal, flows.c.connection == connection
        async with self._database.writing() as database:
            unlinked = await database.scalars(delete(targets).where(*through_it).returning(targets.c.workspace))
            workspaces = tuple(sorted(WorkspaceId(workspace) for workspace in unlinked))
            await database.execute(delete(flows).where(*of_it))
            await database.execute(delete(connections).where(*_is(principal, connection)))
        return workspaces

    async def _put(self, row: dict[str, object]) -> None:
        async with self._database.writing() as database:
            await database.execute(upsert(database, connections, row))


def _row(principal: PrincipalId, connection: Connection) -> dict[str, object]:
    return {
        "principal": principal,
        "id": connection.id,
        "started_at": connection.started_at.timestamp(),
        "record": connection.model_dump_json(),
    }


def _is(principal: PrincipalId, connection: ConnectionId) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return connections.c.principal == principal, connections.c.id == connection
