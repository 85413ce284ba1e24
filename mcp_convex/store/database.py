"""Transactions, and what the database says of them in our errors."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Generator, Hashable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import NamedTuple

import anyio
from pydantic import SecretStr, ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from mcp_convex.domain.errors import ConvexMcpError, StoreCorrupt, StoreUnreachable
from mcp_convex.store import dialects, sqlite
from mcp_convex.store.changes import Changes

DatabasePlace = Path | SecretStr
"""A SQLite file, or the URL of a PostgreSQL database, which bears a password."""


class Backend(NamedTuple):
    """One kind of database, open, and how it says what is wrong."""

    engine: AsyncEngine
    name: str
    """What errors call it."""
    failures: tuple[type[Exception], ...]
    meaning: Callable[[BaseException, str], ConvexMcpError | None]
    patience_s: float = 0
    """How long a transaction waits to begin while the database cannot be reached."""
    changes: Changes | None = None
    """Tells whether anybody has committed; None where that would cost as much as reading."""


class Database:
    """
    A backend, and the kinds of transaction on it.

    Their blocks are a few statements long and hold no other work. A cancellation waits for
    their end, so that none is ever cut in half.
    """

    def __init__(self, backend: Backend) -> None:
        dialects.prepare(backend.engine)
        self._backend = backend
        self._failures: tuple[type[Exception], ...] = (DBAPIError, *backend.failures)
        self._for_reading = dialects.for_reading(backend.engine)
        self._for_asking = dialects.for_asking(backend.engine)
        # SQLite lets one write at a time, and is not fair: a transaction that waits inside it may never get its turn.
        self._one_writer = anyio.CapacityLimiter(1 if dialects.writes_one_at_a_time(backend.engine) else math.inf)

    def version(self) -> Hashable | None:
        """Return a value that the next commit of any process changes; None where nothing tells."""
        return None if self._backend.changes is None else self._backend.changes.version()

    @asynccontextmanager
    async def asking(self) -> AsyncGenerator[AsyncConnection]:
        """Open what is as good as `reading` for a single statement, and takes one trip to a server instead of three."""
        async with self._transaction(self._for_asking, nullcontext()) as connection:
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that reads one state of the database."""
        async with self._transaction(self._for_reading, nullcontext()) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[AsyncConnection]:
        """Open a transaction that is committed at the end of the block, or rolled back if it raises."""
        async with self._transaction(self._backend.engine, self._one_writer) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction(
        self, engine: AsyncEngine, turn: AbstractAsyncContextManager[None]
    ) -> AsyncGenerator[AsyncConnection]:
        with anyio.CancelScope(shield=True) as shield, self._translated():
            async with turn, aclosing(await self._connected(engine, shield)) as connection, connection.begin():
                yield connection

    async def _connected(self, engine: AsyncEngine, shield: anyio.CancelScope) -> AsyncConnection:
        """Connect, again and again for a while: nothing was done yet that could be done twice."""
        pause_s, until = _FIRST_PAUSE_S, anyio.current_time() + self._backend.patience_s
        while True:
            try:
                with self._translated():
                    return await engine.connect()
            except StoreUnreachable:
                if anyio.current_time() + pause_s > until:
                    raise
            shield.shield = False
            await anyio.sleep(pause_s)
            shield.shield = True
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Turn what the database raises inside the block into a `ConvexMcpError`, where it is no fault of ours."""
        try:
            yield
        except self._failures as exc:
            if (said := self._backend.meaning(exc, self._backend.name)) is None:
                raise
            raise said from exc


_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5


@asynccontextmanager
async def opened_database(
    place: DatabasePlace, *, connections: int = 10, is_urgent: bool = False
) -> AsyncGenerator[Database]:
    """
    Open *place*, with so many *connections* to a server at most; on leaving, close every one.

    Args:
        is_urgent: Rather give a statement up, and connect anew, than wait for its answer for long.
    """
    backend = _backend(place, connections, is_urgent=is_urgent)
    try:
        yield Database(backend)
    finally:
        if backend.changes is not None:
            backend.changes.close()
        with anyio.CancelScope(shield=True):
            await backend.engine.dispose()


def _backend(place: DatabasePlace, connections: int, *, is_urgent: bool) -> Backend:
    if isinstance(place, Path):
        return Backend(sqlite.open_file(place), str(place), sqlite.FAILURES, sqlite.meaning, changes=Changes(place))
    from mcp_convex.store import postgres  # noqa: PLC0415 - an extra

    engine = postgres.open_url(place, connections, postgres.URGENT_S if is_urgent else postgres.STATEMENT_S)
    return Backend(engine, "PostgreSQL", postgres.FAILURES, postgres.meaning, postgres.PATIENCE_S)


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
