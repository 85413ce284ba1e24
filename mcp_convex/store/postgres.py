"""PostgreSQL: connecting to it, and what it says in our errors."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

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
"""Seconds that a call waits for a server that is away, and for a connection that others use."""

_CONNECT_S = 5
_STATEMENT_S = 30
"""Seconds after which a statement is given up; ours take milliseconds, unless the server or the way to it is dead."""

_SESSION = {
    "application_name": "mcp-convex",
    "lock_timeout": "10s",
    "statement_timeout": f"{_STATEMENT_S}s",
    "idle_in_transaction_session_timeout": "60s",
}

_URL = "Correct MCP_CONVEX_DATABASE_URL and start again."
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


def open_url(url: SecretStr, connections: int) -> AsyncEngine:
    """Return an engine for the database at *url*, with so many *connections* to it at most. It connects when used."""

    async def connect(**_: object) -> object:
        return await connected(url)

    return create_async_engine(
        "postgresql+asyncpg://",  # where to is known only to the function: an engine prints its URL
        async_creator=connect,
        hide_parameters=True,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=PATIENCE_S,
        pool_pre_ping=True,  # after a restart of the server every idle connection is dead
    )


async def connected(url: SecretStr) -> asyncpg.Connection[asyncpg.Record]:
    """
    Return a connection of its own to the database at *url*.

    Raises:
        SettingsInvalid: No such URL can be.
        OSError, TimeoutError, asyncpg.PostgresError: It cannot be had now.
    """
    try:
        return await asyncpg.connect(
            url.get_secret_value(), timeout=_CONNECT_S, command_timeout=_STATEMENT_S, server_settings=_SESSION
        )
    except ValueError:
        # Its text may repeat the URL.
        raise SettingsInvalid("The database's URL is not one of PostgreSQL's.", next_step=_URL) from None


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
            return StoreUnreachable, f"had no connection free for {PATIENCE_S} seconds", "Repeat the call in a moment."
        case DBAPIError(connection_invalidated=True):
            return _AWAY
        case _:
            return None
