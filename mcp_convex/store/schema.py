"""Bringing a database to the schema that the code expects, before anything else reads it."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio.to_thread
from sqlalchemy import Connection, inspect, text

from mcp_convex.domain.errors import StoreCorrupt
from mcp_convex.store import dialects
from mcp_convex.store.database import Database
from mcp_convex.store.tables import HEAD

_migrating = threading.Lock()


async def bring_to_head(database: Database) -> None:
    """
    Make the tables in an empty database, upgrade those of an older version, leave any other as it is.

    Raises:
        StoreCorrupt: The database is of a newer version, or another program's.
        SettingsInvalid: Its server is not one that the store can be kept at.
    """
    async with database.reading() as connection:
        await connection.run_sync(dialects.check_server)
        revision = await connection.run_sync(_revision)
    if revision != HEAD:
        async with _alone(), database.writing() as connection:
            await connection.run_sync(_upgrade)


@asynccontextmanager
async def _alone() -> AsyncGenerator[None]:
    """Let nothing else in this process migrate, in whichever event loop: Alembic keeps what it works on in globals."""
    await anyio.to_thread.run_sync(_migrating.acquire)
    try:
        yield
    finally:
        _migrating.release()


def _revision(connection: Connection) -> str | None:
    tables = inspect(connection).get_table_names()
    if not tables:
        return None
    if "alembic_version" not in tables:
        raise StoreCorrupt(
            f"The database `{connection.scalar(dialects.database_name())}` belongs to another program.",
            next_step="Set MCP_CONVEX_DATA_DIR to a directory, or MCP_CONVEX_DATABASE_URL to a database, of its own.",
        )
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def _upgrade(connection: Connection) -> None:
    dialects.lock_schema(connection)
    # Another process may have upgraded while this one waited for the lock.
    revision = _revision(connection)
    if revision == HEAD:
        return
    from mcp_convex.store import migrations  # noqa: PLC0415 - Alembic takes 0.3 s to import, and is rarely needed

    if revision is not None and revision not in migrations.known():
        raise StoreCorrupt(
            f"The store `{connection.scalar(dialects.database_name())}` was written by a newer version of mcp-convex.",
            next_step="Upgrade mcp-convex, or set MCP_CONVEX_DATA_DIR or MCP_CONVEX_DATABASE_URL to another.",
        )
    migrations.upgrade(connection)
