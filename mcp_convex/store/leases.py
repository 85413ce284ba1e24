"""At most one holder of a name at a time, across processes and machines that share the database."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from sqlalchemy import ColumnElement, delete, update

from mcp_convex.domain.errors import ConvexMcpError, PushUnderWay, StoreUnreachable
from mcp_convex.domain.ports import LeaseStore
from mcp_convex.store.database import Database
from mcp_convex.store.dialects import database_clock, upsert
from mcp_convex.store.tables import leases

_TRIES = 20
"""To renew a lease in its time, where one after the other fails at once."""


@dataclass
class _Lease:
    names: tuple[str, ...]
    ttl_s: float
    holder: str = field(default_factory=secrets.token_hex)
    lost: ConvexMcpError | None = None
    """Why it is not held any more."""


class SqlLeaseStore(LeaseStore):
    """
    A lease is a row for each name, with an expiry by the database's clock.

    Its holder puts the expiry off every third of its time, and tries again at once where that fails. When it finds
    a row taken, or could not reach the database for the whole time, it has lost the lease: the block is cancelled.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def hold(self, *names: str, ttl_s: float) -> AsyncGenerator[None]:
        """
        Hold all *names* until the block ends, renewing them while the block runs.

        Raises:
            PushUnderWay: Another holds one, or took it after this process had stood still for *ttl_s* seconds.
            SandboxError: The database could not be written for so long.
        """
        # In one order, so that no two wait for each other's.
        lease = _Lease(tuple(sorted(names)), ttl_s)
        failure: Exception | None = None
        try:
            # In here, since a cancellation may come between the row and the answer that it was written.
            await self._acquire(lease)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._renew, lease, tasks.cancel_scope)
                try:
                    yield
                except Exception as exc:  # noqa: BLE001 - raised again below: the task group would wrap it in a group
                    failure = exc
                tasks.cancel_scope.cancel()
        finally:
            await self._release(lease)
        if lease.lost:
            raise lease.lost from failure
        if failure:
            raise failure

    async def _acquire(self, lease: _Lease) -> None:
        held = {"holder": lease.holder, "expires_at": database_clock() + lease.ttl_s}
        has_expired = leases.c.expires_at < database_clock()
        async with self._database.writing() as connection:
            for name in lease.names:
                taken = await connection.execute(upsert(connection, leases, {"name": name, **held}, where=has_expired))
                if not taken.rowcount:
                    raise PushUnderWay(
                        f"Another push holds `{name}`.", next_step="Wait until it has ended, then push again."
                    )

    async def _renew(self, lease: _Lease, scope: anyio.CancelScope) -> None:
        held_until, pause_s = anyio.current_time() + lease.ttl_s, lease.ttl_s / 3
        while not lease.lost:
            await anyio.sleep(pause_s)
            asked_at, pause_s = anyio.current_time(), lease.ttl_s / _TRIES
            failure: ConvexMcpError = _unreachable(lease)
            with anyio.CancelScope(deadline=held_until):
                try:
                    if not await self._extend(lease):
                        lease.lost = _taken(lease)
                    # However late the answer came: the row was still this holder's.
                    held_until = asked_at + lease.ttl_s
                    pause_s = max(0.0, asked_at + lease.ttl_s / 3 - anyio.current_time())
                    continue
                except ConvexMcpError as exc:
                    # A full disk, a locked database or a server that restarts may pass before the lease does.
                    failure = exc
            if anyio.current_time() >= held_until:
                lease.lost = failure
        scope.cancel()

    async def _extend(self, lease: _Lease) -> bool:
        # One that expired and that nobody took is still this holder's.
        row = update(leases).where(*_is(lease)).values(expires_at=database_clock() + lease.ttl_s)
        async with self._database.writing() as connection:
            return (await connection.execute(row)).rowcount == len(lease.names)

    async def _release(self, lease: _Lease) -> None:
        # What the block did stands, whether or not its lease can be given back: it expires by itself.
        with suppress(ConvexMcpError):
            async with self._database.writing() as connection:
                await connection.execute(delete(leases).where(*_is(lease)))


def _taken(lease: _Lease) -> PushUnderWay:
    return PushUnderWay(
        f"Another push has taken {_quoted(lease)}, since this one stood still too long.",
        next_step="Wait until the other has ended, then push again.",
    )


def _unreachable(lease: _Lease) -> StoreUnreachable:
    return StoreUnreachable(
        f"The store was away for as long as the lease of {_quoted(lease)} lasts.", next_step="Repeat the call."
    )


def _is(lease: _Lease) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return leases.c.name.in_(lease.names), leases.c.holder == lease.holder


def _quoted(lease: _Lease) -> str:
    return " or ".join(f"`{name}`" for name in lease.names)
