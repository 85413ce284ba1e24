"""SQLite: opening its file, and what it says in our errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from mcp_convex.domain.errors import ConvexMcpError, DirectoryUnusable, DiskFull, StoreCorrupt
from mcp_convex.store.dialects import BUSY_S
from mcp_convex.store.files import check_usable, make_private

FAILURES = (sqlite3.Error,)

_PRIMARY_CODE = 0xFF
"""The bits of a SQLite result code that say what happened; those above say where."""

_NO_ROOM = (DiskFull, "has no space left to grow", "Free some space and try again.")
_UNUSABLE = (DirectoryUnusable, "cannot be read or written", "Make it writable for this account and start again.")
_DAMAGED = (StoreCorrupt, "is damaged or is not a store", "Restore it from a backup or move it away.")
_MEANINGS: Mapping[int, tuple[type[ConvexMcpError], str, str]] = MappingProxyType(
    {
        sqlite3.SQLITE_FULL: _NO_ROOM,
        # The file that goes with the log takes its space when the store is opened.
        sqlite3.SQLITE_IOERR_SHMSIZE: _NO_ROOM,
        sqlite3.SQLITE_CORRUPT: _DAMAGED,
        sqlite3.SQLITE_NOTADB: _DAMAGED,
        # Our statements fit the schema, so that one which fails has met another.
        sqlite3.SQLITE_ERROR: _DAMAGED,
        sqlite3.SQLITE_CANTOPEN: _UNUSABLE,
        sqlite3.SQLITE_READONLY: _UNUSABLE,
        sqlite3.SQLITE_PERM: _UNUSABLE,
        sqlite3.SQLITE_IOERR: _UNUSABLE,
        sqlite3.SQLITE_BUSY: (
            DirectoryUnusable,
            f"was locked by another process for {BUSY_S} seconds",
            "End what holds it open, such as a backup or a database browser, and try again.",
        ),
    }
)


def open_file(file: Path) -> AsyncEngine:
    """
    Return an engine for *file*, which is made unless it is there.

    Raises:
        DirectoryUnusable: It cannot be made, read or written.
        DiskFull: There is no space for it.
    """
    try:
        make_private(file, _make_empty)
    except sqlite3.Error as exc:
        raise meaning(exc, str(file)) or exc from exc
    # Here rather than by connecting: SQLite would fall back to reading only, and when the file cannot be opened
    # at all, aiosqlite 0.22 leaves a thread that outlives the event loop and prints a traceback.
    check_usable(file)
    return create_async_engine(URL.create("sqlite+aiosqlite", database=str(file)), hide_parameters=True)


def meaning(exc: BaseException, name: str) -> ConvexMcpError | None:
    """Return what *exc* says of the file *name* in our words; None where it is a fault of ours."""
    cause = exc.orig if isinstance(exc, DBAPIError) else exc
    code: int = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK)
    known = _MEANINGS.get(code) or _MEANINGS.get(code & _PRIMARY_CODE)
    if known is None:
        return None
    error, wrong, next_step = known
    return error(f"The store `{name}` {wrong}.", next_step=next_step)


def _make_empty(path: Path) -> None:
    """Make the empty file *path* a SQLite database with a write-ahead log, so that readers wait for no writer."""
    # Before anybody else sees the file: processes that change the mode at the same time fail one another.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
