"""The store as a whole: opening it, and what concerns all of its tables."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from sqlalchemy import Column, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_convex.domain.ports import (
    ConnectionStore,
    DevServerStore,
    FileJournal,
    LeaseStore,
    PageStore,
    ProvisioningStore,
    PushStore,
    SnapshotStore,
    TargetStore,
)
from mcp_convex.domain.ports.cursors import CursorStore
from mcp_convex.domain.ports.relaying import NoRelay, Relay
from mcp_convex.store.audit import SqlAuditStore
from mcp_convex.store.audit_outbox import AuditOutbox
from mcp_convex.store.connections import SqlConnectionStore
from mcp_convex.store.cursors import SqlCursorStore
from mcp_convex.store.database import Database, DatabasePlace, opened_database
from mcp_convex.store.dev_servers import SqlDevServerStore
from mcp_convex.store.encryption import Cipher
from mcp_convex.store.journal import SqlFileJournal
from mcp_convex.store.keys import KeyRing
from mcp_convex.store.leases import SqlLeaseStore
from mcp_convex.store.pages import SqlPageStore
from mcp_convex.store.provisioning import SqlProvisioningStore
from mcp_convex.store.pushes import SqlPushStore
from mcp_convex.store.schema import bring_to_head
from mcp_convex.store.snapshots import SqlSnapshotStore
from mcp_convex.store.tables import ENCRYPTED, place, targets
from mcp_convex.store.targets import SqlTargetStore

_AT_ONCE = 500
"""Rows that a rotation holds in memory: files are among them."""


class Store:
    """An open store: one adapter a port, over one database."""

    def __init__(self, database: Database, apart: Database, ring: KeyRing, relay: Relay) -> None:
        cipher = Cipher(ring)
        self.targets: TargetStore = SqlTargetStore(database, cipher)
        self.leases: LeaseStore = SqlLeaseStore(apart)
        self.connections: ConnectionStore = SqlConnectionStore(database, cipher)
        self.pages: PageStore = SqlPageStore(database, cipher)
        self.provisioning: ProvisioningStore = SqlProvisioningStore(database)
        self.audit = AuditOutbox(SqlAuditStore(database, ring.derived("audit")))
        self.cursors: CursorStore = SqlCursorStore(database)
        self.journal: FileJournal = SqlFileJournal(database, cipher)
        snapshots = SqlSnapshotStore(database, cipher)
        self.snapshots: SnapshotStore = snapshots
        self.pushes: PushStore = SqlPushStore(database, snapshots)
        self.dev_servers: DevServerStore = SqlDevServerStore(database)
        self.relay = relay
        self._database = database
        self._cipher = cipher

    async def check(self) -> None:
        """
        Make sure that the database answers.

        Raises:
            ConvexMcpError: It does not, or not as it should.
        """
        async with self._database.asking() as connection:
            await connection.execute(select(targets.c.workspace).limit(1))

    async def rotate(self) -> int:
        """
        Encrypt every credential anew with the newest key, all of them or none, and return how many there are.

        Raises:
            StoreCorrupt: One cannot be decrypted with the keys at hand.
        """
        async with self._database.writing() as connection:
            return sum([await self._rotate(connection, column) for column in ENCRYPTED])

    async def _rotate(self, connection: AsyncConnection, column: Column[bytes]) -> int:
        key = column.table.primary_key.columns
        sealed_ones = select(*key, column).where(column.is_not(None)).order_by(*key).limit(_AT_ONCE).with_for_update()
        rows = (await connection.execute(sealed_ones)).all()
        count = len(rows)
        while rows:
            for *identity, sealed in rows:
                await self._seal_anew(connection, column, identity, sealed)
            rows = (await connection.execute(sealed_ones.where(tuple_(*key) > tuple_(*rows[-1][:-1])))).all()
            count += len(rows)
        return count

    async def _seal_anew(
        self, connection: AsyncConnection, column: Column[bytes], identity: Sequence[str], sealed: bytes
    ) -> None:
        belongs = place(column, *identity)
        anew = self._cipher.seal(self._cipher.open(sealed, belongs), belongs)
        key = column.table.primary_key.columns
        of_row = (part == value for part, value in zip(key, identity, strict=True))
        await connection.execute(update(column.table).where(*of_row).values({column: anew}))


@asynccontextmanager
async def opened(place: DatabasePlace, ring: KeyRing, connections: int) -> AsyncGenerator[Store]:
    """Open the store as `open_store` says."""
    async with opened_database(place, connections=connections) as connected, _apart(place, connected) as apart:
        await bring_to_head(connected)
        store = Store(connected, apart, ring, _relay(place))
        async with store.audit.writing():
            yield store


def _apart(place: DatabasePlace, connected: Database) -> AbstractAsyncContextManager[Database]:
    """Return what leases are kept through: however many calls wait for a connection, a lease has to be renewed."""
    if isinstance(place, Path):
        return nullcontext(connected)  # SQLite's writers stand in one line, and are quick
    return opened_database(place, connections=1, is_urgent=True)


def _relay(place: DatabasePlace) -> Relay:
    if isinstance(place, Path):
        return NoRelay()
    from mcp_convex.store.relay import PostgresRelay  # noqa: PLC0415 - an extra

    return PostgresRelay(place)
