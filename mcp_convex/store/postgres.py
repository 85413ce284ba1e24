"""PostgreSQL: connecting to it, and what it says in our errors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.engine.interfaces import AdaptedConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from mcp_convex.domain.errors import (
    ConvexMcpError,
    DiskFull,
    NotFound,
    SettingsInvalid,
    StoreCorrupt,
    StoreUnreachable,
)

try:
    import asyncpg
except ModuleNotFoundError as exc:
    raise SettingsInvalid(
        "The driver for PostgreSQL is not installed.", next_step="Run `pip install 'mcp-convex[postgres]'`."
    ) from exc

FAILURES = (OSError, TimeoutError, PoolExhausted)
"""What comes of a server that is away and of a pool that is empty, beside what SQLAlchemy makes of asyncpg's errors."""

PATIENCE_S = 10
"""Seconds that a call waits for a server that is away."""

_CONNECT_S = 5
STATEMENT_S = 30
"""Seconds after which a statement is given up; ours take milliseconds, unless the server or the way to it is dead."""
URGENT_S = 5
"""Seconds after which one that others wait for by the second is: soon enough to say it again over a new connection."""

_QUEUE_S = STATEMENT_S
"""Seconds that a call waits for a connection that others use: as long as one of them may take."""
_TRUSTED_S = 5
"""Seconds for which a connection that lay unused is taken to be good, unless its end was heard of."""

_UNUSED_SINCE = "mcp_convex unused since"

_SESSION = {
    "application_name": "mcp-convex",
    "lock_timeout": "10s",
    "statement_timeout": f"{STATEMENT_S}s",
    "idle_in_transaction_session_timeout": "60s",
}

_URL = "Correct MCP_CONVEX_DATABASE_URL and start again."
_CERTIFICATES = "With `sslmode=verify-full` it names the file of the server's certificates, as `sslrootcert`."
_AWAY = (StoreUnreachable, "cannot be reached, or broke off", "Repeat the call; what it had done is kept or undone.")
_MEANINGS: Mapping[str, tuple[type[ConvexMcpError], str, str]] = MappingProxyType(
    {
        "08": _AWAY,
        "57": _AWAY,
        "53": (StoreUnreachable, "has no room for another connection", "Repeat the call in a moment."),
        "53100": (DiskFull, "has no space left to grow", "Give the server more space and try again."),
        # After a failover, until the name leads to the new primary.
        "25006": (StoreUnreachable, "takes no writes at the moment", "Repeat the call in a moment."),
        "55P03": (StoreUnreachable, "was busy with another's write for too long", "Repeat the call."),
        "40": (StoreUnreachable, "was busy with another's write", "Repeat the call."),
        "28": (SettingsInvalid, "does not accept the name and password that it was given", _URL),
        "3D": (SettingsInvalid, "has no database of that name", _URL),
        "42501": (SettingsInvalid, "does not let this role make or use its tables", "Grant it the schema, or own it."),
        "42704": (SettingsInvalid, "does not know a parameter that the URL names", _URL),
        # A text that no row can hold is no row's name.
        "22021": (NotFound, "has nothing of that name", "Use a name that a tool has returned."),
        # Our statements fit the schema, so that one which fails has met another.
        "42": (StoreCorrupt, "does not have the tables that this version knows", "Restore it from a backup."),
        "XX": (StoreCorrupt, "is damaged", "Restore it from a backup."),
    }
)
"""By the SQLSTATE, or by the two characters of its class."""


def open_url(url: SecretStr, connections: int, statement_s: float) -> AsyncEngine:
    """
    Return an engine for the database at *url*, with so many *connections* to it at most. It connects when used.

    Args:
        statement_s: Seconds after which a statement is given up.
    """

    async def connect(**_: object) -> object:
        return await connected(url, statement_s)

    engine = create_async_engine(
        "postgresql+asyncpg://",  # where to is known only to the function: an engine prints its URL
        async_creator=connect,
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_QUEUE_S,
        pool_use_lifo=True,  # what is not needed lies unused, rather than each of them a little
    )
    event.listen(engine.sync_engine, "checkin", _on_checkin)
    event.listen(engine.sync_engine, "checkout", _on_checkout)
    return engine


def _on_checkin(_connection: object, entry: ConnectionPoolEntry) -> None:
    entry.info[_UNUSED_SINCE] = time.monotonic()


def _on_checkout(connection: AdaptedConnection, entry: ConnectionPoolEntry, _: object) -> None:
    """Have the pool connect anew where the connection is dead, as each is after a restart of the server."""
    # The pool's own way to find out takes three more trips to the server, before every transaction of three.
    unused_since = entry.info.get(_UNUSED_SINCE)
    if unused_since is None:  # it was made just now
        return
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
    if time.monotonic() - unused_since > _TRUSTED_S:
        try:
            connection.run_async(lambda driver: driver.execute("SELECT 1", timeout=URGENT_S))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as exc:
            raise InvalidatePoolError from exc


async def connected(url: SecretStr, statement_s: float = STATEMENT_S) -> asyncpg.Connection[asyncpg.Record]:
    """
    Return a connection of its own to the database at *url*, which gives a statement up after *statement_s* seconds.

    Raises:
        SettingsInvalid: No such URL can be.
        OSError, TimeoutError, asyncpg.PostgresError: It cannot be had now.
    """
    try:
        return await asyncpg.connect(
            url.get_secret_value(), timeout=_CONNECT_S, command_timeout=statement_s, server_settings=_SESSION
        )
    except ValueError:
        # Its text may repeat the URL.
        raise SettingsInvalid(
            "The database's URL is not one of PostgreSQL's, or names no certificates by which its server can be known.",
            next_step=f"{_URL} {_CERTIFICATES}",
        ) from None


def meaning(exc: BaseException, name: str) -> ConvexMcpError | None:
    """Return what *exc* says of the store *name* in our words; None where it is a fault of ours."""
    cause = exc.orig if isinstance(exc, DBAPIError) else exc
    state = getattr(cause, "sqlstate", None)
    known = (_MEANINGS.get(state) or _MEANINGS.get(state[:2])) if state else _without_state(exc)
    if known is None:
        return None
    error, wrong, next_step = known
    return error(f"The store `{name}` {wrong}.", next_step=next_step)


def _without_state(exc: BaseException) -> tuple[type[ConvexMcpError], str, str] | None:
    match exc:
        case OSError() | TimeoutError():
            return _AWAY
        case PoolExhausted():
            return StoreUnreachable, f"had no connection free for {_QUEUE_S} seconds", "Repeat the call in a moment."
        case DBAPIError(connection_invalidated=True):
            return _AWAY
        case _:
            return None
