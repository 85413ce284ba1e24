"""Transactions, and what the database says of them in our errors."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import MappingProxyType

import anyio
from pydantic import ValidationError
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from mcp_convex.domain.errors import ConvexMcpError, DirectoryUnusable, DiskFull, StoreCorrupt
from mcp_convex.store import dialects
from mcp_convex.store.files import check_usable, make_private

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
            f"was locked by another process for {dialects.BUSY_S} seconds",
            "End what holds it open, such as a backup or a database browser, and try again.",
        ),
    }
)


class Database:
    """
    An engine, and the two kinds of transaction on it.

    Their blocks are a few statements long and hold no other work. A cancellation waits for
    their end, so that none is ever cut in half.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        dialects.prepare(engine)
        self._name = str(engine.url.database)
        self._engine = engine
        self._for_reading = dialects.for_reading(engine)
        # SQLite lets one write at a time, and whoever waits for that inside it may never come to it.
        self._one_writer = anyio.CapacityLimiter(1 if dialects.writes_one_at_a_time(engine) else math.inf)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that reads one state of the database."""
        with anyio.CancelScope(shield=True), _translated(self._name):
            async with self._for_reading.begin() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that is committed at the end of the block, or rolled back if it raises."""
        with anyio.CancelScope(shield=True), _translated(self._name):
            async with self._one_writer, self._engine.begin() as connection:
                yield connection


@asynccontextmanager
async def opened_database(place: Path | str) -> AsyncGenerator[Database]:
    """Open the SQLite file or the SQLAlchemy URL *place*; on leaving, close every connection."""
    if isinstance(place, Path):
        with _translated(str(place)):
            make_private(place, dialects.make_empty)
        # Here rather than by connecting: SQLite would fall back to reading only, and when the file cannot be opened
        # at all, aiosqlite 0.22 leaves a thread that outlives the event loop and prints a traceback.
        check_usable(place)
        engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(place)), hide_parameters=True)
    else:
        engine = create_async_engine(place, hide_parameters=True)
    try:
        yield Database(engine)
    finally:
        with anyio.CancelScope(shield=True):
            await engine.dispose()


@contextmanager
def _translated(name: str) -> Generator[None]:
    """Turn what the database *name* raises inside the block into a `ConvexMcpError`, where it is no fault of ours."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as exc:
        cause = exc.orig if isinstance(exc, DBAPIError) else exc
        code: int = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_OK)
        meaning = _MEANINGS.get(code) or _MEANINGS.get(code & _PRIMARY_CODE)
        if meaning is None:
            raise
        error, wrong, next_step = meaning
        raise error(f"The store `{name}` {wrong}.", next_step=next_step) from exc


@contextmanager
def decoding() -> Generator[None]:
    """Turn a stored record that its model refuses, inside the block, into `StoreCorrupt`."""
    try:
        yield
    except ValidationError as exc:
        raise StoreCorrupt(
            "A stored record does not have the shape that this version knows.",
            next_step="Use the version of mcp-convex that wrote it, or a newer one.",
        ) from exc
