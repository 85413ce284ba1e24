"""The host's copy of each workspace's files, with their contents encrypted."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from hashlib import sha256

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from mcp_convex.domain.models import FileEntry, FilePath, PrincipalId, WorkspaceId
from mcp_convex.domain.ports import FileJournal, JournalState
from mcp_convex.store.database import Database
from mcp_convex.store.dialects import upsert, upsert_many
from mcp_convex.store.encryption import Cipher
from mcp_convex.store.tables import place, rows_of, workspace_files, workspaces

_AT_ONCE = 500
"""Paths that one statement names; SQLite knows a bound."""


class SqlFileJournal(FileJournal):
    """A row a file. A deleted file's row stays, without content, for sandboxes that missed the deletion."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    async def tag(self, principal: PrincipalId, workspace: WorkspaceId) -> str:
        async with self._database.writing() as connection:
            await _open(connection, principal, workspace)
            found = await connection.scalar(select(workspaces.c.tag).where(*rows_of(workspaces, principal, workspace)))
        return str(found)

    async def state(self, principal: PrincipalId, workspace: WorkspaceId) -> JournalState:
        version_of = select(workspaces.c.version).where(*rows_of(workspaces, principal, workspace))
        files_of = select(workspace_files.c.path, workspace_files.c.size, workspace_files.c.sha256).where(
            *rows_of(workspace_files, principal, workspace)
        )
        async with self._database.reading() as connection:
            version = await connection.scalar(version_of)
            rows = (await connection.execute(files_of)).all()
        entries = [FileEntry(path=FilePath(path), size=size, sha256=digest) for path, size, digest in rows if digest]
        return JournalState(
            version=version or 0,
            files={entry.path: entry for entry in entries},
            deleted=frozenset(FilePath(path) for path, _, digest in rows if not digest),
        )

    async def contents(
        self, principal: PrincipalId, workspace: WorkspaceId, paths: Iterable[FilePath]
    ) -> Mapping[FilePath, bytes]:
        wanted = list(paths)
        columns = select(workspace_files.c.path, workspace_files.c.content).where(
            *rows_of(workspace_files, principal, workspace), workspace_files.c.content.is_not(None)
        )
        found: dict[FilePath, bytes] = {}
        async with self._database.reading() as connection:
            for first in range(0, len(wanted), _AT_ONCE):
                some = columns.where(workspace_files.c.path.in_(wanted[first : first + _AT_ONCE]))
                for path, sealed in await connection.execute(some):
                    belongs = place(workspace_files.c.content, principal, workspace, path)
                    found[FilePath(path)] = self._cipher.open_bytes(sealed, belongs)
        return found

    async def record(
        self, principal: PrincipalId, workspace: WorkspaceId, changes: Mapping[FilePath, bytes | None]
    ) -> int:
        rows = self._rows(principal, workspace, changes)
        one_more = {"version": workspaces.c.version + 1}
        grown = update(workspaces).where(*rows_of(workspaces, principal, workspace)).values(one_more)
        async with self._database.writing() as connection:
            await _open(connection, principal, workspace)
            version = await connection.scalar(grown.returning(workspaces.c.version))
            await _keep(connection, rows)
        return version or 0

    async def record_found(
        self, principal: PrincipalId, workspace: WorkspaceId, changes: Mapping[FilePath, bytes | None], *, version: int
    ) -> bool:
        rows = self._rows(principal, workspace, changes)
        # An update rather than a select: it holds other writers off until what was found is kept.
        same = update(workspaces).where(*rows_of(workspaces, principal, workspace), workspaces.c.version == version)
        async with self._database.writing() as connection:
            await _open(connection, principal, workspace)
            is_current = (await connection.execute(same.values(version=version))).rowcount > 0
            if is_current:
                await _keep(connection, rows)
        return is_current

    def _rows(
        self, principal: PrincipalId, workspace: WorkspaceId, changes: Mapping[FilePath, bytes | None]
    ) -> list[dict[str, object]]:
        return [
            {
                "principal": principal,
                "workspace": workspace,
                "path": path,
                "size": len(data or b""),
                "sha256": "" if data is None else sha256(data).hexdigest(),
                "content": self._sealed(data, principal, workspace, path),
            }
            for path, data in changes.items()
        ]

    def _sealed(self, data: bytes | None, *key: str) -> bytes | None:
        return None if data is None else self._cipher.seal_bytes(data, place(workspace_files.c.content, *key))


async def _keep(connection: AsyncConnection, rows: list[dict[str, object]]) -> None:
    if rows:  # all at once: others wait for this transaction
        await connection.execute(upsert_many(connection, workspace_files), rows)


async def _open(connection: AsyncConnection, principal: PrincipalId, workspace: WorkspaceId) -> None:
    """Make sure that the workspace has its row."""
    row = {"principal": principal, "workspace": workspace, "tag": secrets.token_hex(8), "version": 0}
    await connection.execute(upsert(connection, workspaces, row, where=workspaces.c.version < 0))  # never a second one
