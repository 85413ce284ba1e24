"""Messages between the servers on one PostgreSQL database, by LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg
from pydantic import SecretStr

from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.domain.ports.relaying import Relay
from mcp_convex.store.postgres import connected

_CHANNEL = "mcp_convex"
_LARGEST = 7_000
"""Bytes of a message; PostgreSQL takes 8,000."""
_KEPT = 1_000
"""Messages that wait for the database; older ones go."""
_HEARTBEAT_S = 30
"""Seconds without a message after which the connection is tried: one that died in silence says nothing."""
_PAUSE_S = 0.5

_FAILURES = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, SettingsInvalid)


class PostgresRelay(Relay):
    """Has a connection of its own while it listens, and another one whenever that is lost."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._outbox: deque[str] = deque(maxlen=_KEPT)
        self._wake = asyncio.Event()

    def send(self, message: str) -> None:
        if len(message.encode()) <= _LARGEST:
            self._outbox.append(message)
            self._wake.set()

    @asynccontextmanager
    async def listening(self, hear: Callable[[str], None], missed: Callable[[], None]) -> AsyncGenerator[None]:
        keeping = asyncio.create_task(self._keep_connected(hear, missed))
        try:
            yield
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping

    async def _keep_connected(self, hear: Callable[[str], None], missed: Callable[[], None]) -> None:
        while True:
            with suppress(*_FAILURES):
                await self._converse(await connected(self._url), hear, missed)
            await asyncio.sleep(_PAUSE_S)

    async def _converse(
        self, connection: asyncpg.Connection[asyncpg.Record], hear: Callable[[str], None], missed: Callable[[], None]
    ) -> None:
        """Send and hear until the connection is lost."""

        def heard(_: object, sender: int, __: str, message: object) -> None:
            if sender != connection.get_server_pid():
                hear(str(message))

        connection.add_termination_listener(lambda _: self._wake.set())
        try:
            await connection.add_listener(_CHANNEL, heard)
            missed()  # whatever was said before, to the first connection as to those after a loss
            while not connection.is_closed():
                self._wake.clear()
                while self._outbox:
                    await connection.execute("SELECT pg_notify($1, $2)", _CHANNEL, self._outbox[0])
                    self._outbox.popleft()
                await self._woken(connection)
        finally:
            connection.terminate()

    async def _woken(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), _HEARTBEAT_S)
        except TimeoutError:
            await connection.execute("SELECT 1")
