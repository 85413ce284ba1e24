"""Snapshots of a workspace's files, and their contents by digest, sealed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from itertools import islice

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports.snapshots import SnapshotStore
from mcp_convex.domain.snapshots import NewSnapshot, Snapshot
from mcp_convex.store.database import Database, decoding
from mcp_convex.store.dialects import one_at_a_time, upsert
from mcp_convex.store.encryption import Cipher
from mcp_convex.store.tables import place, rows_of, snapshot_contents, snapshots

KEPT = 200
"""Snapshots of one workspace that the store keeps."""

_AT_ONCE = 500
"""Digests in one statement: databases bound the parameters that one takes."""


class SqlSnapshotStore(SnapshotStore):
    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    async def add(self, principal: PrincipalId, new: NewSnapshot) -> None:
        async with self._database.writing() as connection:
            await self.put(connection, principal, new)

    async def put(self, connection: AsyncConnection, principal: PrincipalId, new: NewSnapshot) -> None:
        """Do so in a transaction that writes something else as well."""
        snapshot = new.snapshot
        row = {
            "principal": principal,
            "workspace": snapshot.workspace,
            "id": snapshot.id,
            "taken_at": snapshot.taken_at.timestamp(),
            "record": snapshot.model_dump_json(),
        }
        workspace = WorkspaceId(snapshot.workspace)
        # Another's pruning could not see what this transaction refers to.
        await one_at_a_time(connection, "snapshots", principal, workspace)
        for digest, content in new.contents.items():
            kept = self._sealed(principal, workspace, digest, content)
            await connection.execute(upsert(connection, snapshot_contents, kept))
        await connection.execute(upsert(connection, snapshots, row))
        await _prune(connection, principal, workspace)

    async def missing(self, principal: PrincipalId, workspace: WorkspaceId, digests: Collection[str]) -> frozenset[str]:
        columns = select(snapshot_contents.c.sha256).where(*rows_of(snapshot_contents, principal, workspace))
        found: set[str] = set()
        async with self._database.reading() as connection:
            for some in _batches(digests):
                found.update(await connection.scalars(columns.where(snapshot_contents.c.sha256.in_(some))))
        return frozenset(digests) - found

    async def contents(
        self, principal: PrincipalId, workspace: WorkspaceId, digests: Collection[str]
    ) -> Mapping[str, bytes]:
        columns = select(snapshot_contents.c.sha256, snapshot_contents.c.content).where(
            *rows_of(snapshot_contents, principal, workspace)
        )
        found: dict[str, bytes] = {}
        async with self._database.reading() as connection:
            for some in _batches(digests):
                for digest, sealed in await connection.execute(columns.where(snapshot_contents.c.sha256.in_(some))):
                    belongs = place(snapshot_contents.c.content, principal, workspace, digest)
                    found[digest] = self._cipher.open_bytes(sealed, belongs)
        return found

    async def latest(self, principal: PrincipalId, workspace: WorkspaceId) -> AsyncGenerator[Snapshot]:
        of_workspace = rows_of(snapshots, principal, workspace)
        wanted = select(snapshots.c.record).where(*of_workspace).order_by(*_NEWEST_FIRST)
        async with self._database.asking() as connection:
            records = (await connection.scalars(wanted)).all()
        for record in records:
            with decoding():
                yield Snapshot.model_validate_json(record)

    def _sealed(self, principal: PrincipalId, workspace: WorkspaceId, digest: str, content: bytes) -> dict[str, object]:
        sealed = self._cipher.seal_bytes(content, place(snapshot_contents.c.content, principal, workspace, digest))
        return {"principal": principal, "workspace": workspace, "sha256": digest, "content": sealed}


_NEWEST_FIRST = snapshots.c.taken_at.desc(), snapshots.c.id.desc()


def _batches(digests: Collection[str]) -> Iterator[Sequence[str]]:
    left = iter(sorted(digests))
    while some := list(islice(left, _AT_ONCE)):
        yield some


async def _prune(connection: AsyncConnection, principal: PrincipalId, workspace: WorkspaceId) -> None:
    """Delete what is too old, and the contents that only it held."""
    of_workspace = rows_of(snapshots, principal, workspace)
    count = await connection.scalar(select(func.count()).select_from(snapshots).where(*of_workspace))
    if (count or 0) <= KEPT:
        return
    beyond = select(snapshots.c.id).where(*of_workspace).order_by(*_NEWEST_FIRST).offset(KEPT)
    await connection.execute(delete(snapshots).where(*of_workspace, snapshots.c.id.in_(beyond)))
    with decoding():
        left = [
            Snapshot.model_validate_json(record)
            for record in await connection.scalars(select(snapshots.c.record).where(*of_workspace))
        ]
    needed = {file.sha256 for snapshot in left for file in snapshot.files}
    contents = rows_of(snapshot_contents, principal, workspace)
    kept = set(await connection.scalars(select(snapshot_contents.c.sha256).where(*contents)))
    for some in _batches(kept - needed):
        await connection.execute(delete(snapshot_contents).where(*contents, snapshot_contents.c.sha256.in_(some)))
