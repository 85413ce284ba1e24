"""The one place where databases differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from sqlalchemy import Connection, Double, Executable, String, Table, event, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from mcp_convex.domain.errors import SettingsInvalid

BUSY_S = 5
"""Seconds that a call waits for another process to finish writing."""

_CONNECTED = (
    f"PRAGMA busy_timeout = {BUSY_S * 1000}",
    "PRAGMA foreign_keys = ON",
    # What was deleted is overwritten: a disconnected credential does not linger in a free page.
    "PRAGMA secure_delete = ON",
)
OLDEST_POSTGRES = 14
_MIGRATION_LOCK = 0x636F6E766578
"""A number that no other program is likely to lock in the same database: `convex` in ASCII."""


class database_clock(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it stands for
    """The time by the clock that all processes share, in seconds since the epoch."""

    type = Double[float]()
    inherit_cache = True


@compiles(database_clock, "sqlite")
def _(_element: database_clock, _compiler: SQLCompiler, **_: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_clock, "postgresql")
def _(_element: database_clock, _compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


class database_name(FunctionElement[str]):  # noqa: N801 - as above
    """What the database is called: the path of SQLite's file."""

    type = String()
    inherit_cache = True


@compiles(database_name, "sqlite")
def _(_element: database_name, _compiler: SQLCompiler, **_: Any) -> str:
    return "(SELECT file FROM pragma_database_list WHERE name = 'main')"


@compiles(database_name, "postgresql")
def _(_element: database_name, _compiler: SQLCompiler, **_: Any) -> str:
    return "CAST(current_database() AS varchar)"


def prepare(engine: AsyncEngine) -> None:
    """Have each connection of *engine* behave as the adapters expect."""
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _on_connect)
        event.listen(engine.sync_engine, "begin", _on_begin)


def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """Return *engine* for transactions that only read, all of them from one state, and so wait for no writer."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(sqlite_begin="BEGIN")
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def for_asking(engine: AsyncEngine) -> AsyncEngine:
    """Return *engine* for single statements that only read: each sees one state by itself, and needs no transaction."""
    return (
        for_reading(engine)
        if engine.dialect.name == "sqlite"
        else engine.execution_options(isolation_level="AUTOCOMMIT")
    )


def writes_one_at_a_time(engine: AsyncEngine) -> bool:
    """Say whether a transaction that writes has the whole database for itself."""
    return engine.dialect.name == "sqlite"


def lock_schema(connection: Connection) -> None:
    """Let no other process migrate until this transaction ends. SQLite's writing transactions do so by themselves."""
    if connection.dialect.name == "postgresql":
        # Another's migration, and this one, may take longer than a call waits for anything.
        for bound in ("lock_timeout", "statement_timeout"):
            connection.execute(text(f"SET LOCAL {bound} = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})


async def one_at_a_time(connection: AsyncConnection, *of_what: str) -> None:
    """Have the transactions that name *of_what* wait for one another. SQLite's writing ones do so by themselves."""
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
        await connection.execute(lock, {"name": json.dumps(of_what)})


def check_server(connection: Connection) -> None:
    """
    Make sure that the store can be kept on the database's server.

    Raises:
        SettingsInvalid: It is too old, or the database has another encoding than UTF-8.
    """
    if connection.dialect.name != "postgresql":
        return
    version = int((connection.dialect.server_version_info or (0,))[0])
    if version < OLDEST_POSTGRES:
        raise SettingsInvalid(
            f"The server is PostgreSQL {version}; this version works with {OLDEST_POSTGRES} and newer.",
            next_step="Upgrade the server, or set MCP_CONVEX_DATABASE_URL to another.",
        )
    if (encoding := connection.scalar(text("SHOW server_encoding"))) != "UTF8":
        raise SettingsInvalid(
            f"The database has the encoding {encoding}, which cannot hold every text.",
            next_step="Make one with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`.",
        )


def upsert(
    connection: AsyncConnection, table: Table, row: Mapping[str, object], where: ColumnElement[bool] | None = None
) -> Executable:
    """Return the statement that inserts *row*, or updates the one with its primary key if *where* holds for that."""
    statement: sqlite.Insert = _insert(connection, table).values(row)
    changed = {name: statement.excluded[name] for name in row if name not in table.primary_key.columns}
    return statement.on_conflict_do_update(index_elements=table.primary_key.columns, set_=changed, where=where)


def upsert_many(connection: AsyncConnection, table: Table) -> Executable:
    """Return the statement that does so with each of the rows that it is executed with; they name every column."""
    statement = _insert(connection, table)
    changed = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=table.primary_key.columns, set_=changed)


def _insert(connection: AsyncConnection, table: Table) -> sqlite.Insert:
    # SQLite's and PostgreSQL's are alike but for the module; importing the one not used would cost 30 ms.
    statement: sqlite.Insert = import_module(f"sqlalchemy.dialects.{connection.dialect.name}").insert(table)
    return statement


def _on_connect(connection: DBAPIConnection, _record: object) -> None:
    # Python's sqlite3 begins transactions by itself, late and not before every statement; we say when.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _CONNECTED:
        cursor.execute(pragma)
    cursor.close()


def _on_begin(connection: Connection) -> None:
    # A transaction that may write has to begin as a writer: SQLite refuses, without waiting, to make it one later.
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE"))
