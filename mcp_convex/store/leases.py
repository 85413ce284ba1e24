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


@dataclass
class _Lease:
    name: str
    ttl_s: float
    holder: str = field(default_factory=secrets.token_hex)
    lost: ConvexMcpError | None = None
    """Why it is not held any more."""


class SqlLeaseStore(LeaseStore):
    """
    A lease is a row with an expiry by the database's clock.

    Its holder puts the expiry off every third of its time. When it finds the row taken, or could not
    reach the database for the whole time, it has lost the lease: the block is cancelled.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def hold(self, name: str, *, ttl_s: float) -> AsyncGenerator[None]:
        """
        Hold *name* until the block ends, renewing it while the block runs.

        Raises:
            PushUnderWay: Another holds it, or took it after this process had stood still for *ttl_s* seconds.
            SandboxError: The database could not be written for so long.
        """
        lease = _Lease(name, ttl_s)
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
        row = {"name": lease.name, "holder": lease.holder, "expires_at": database_clock() + lease.ttl_s}
        async with self._database.writing() as connection:
            taken = await connection.execute(
                upsert(connection, leases, row, where=leases.c.expires_at < database_clock())
            )
        if not taken.rowcount:
            raise PushUnderWay(
                f"Another push holds `{lease.name}`.", next_step="Wait until it has ended, then push again."
            )

    async def _renew(self, lease: _Lease, scope: anyio.CancelScope) -> None:
        held_until = anyio.current_time() + lease.ttl_s
        while not lease.lost:
            await anyio.sleep(lease.ttl_s / 3)
            asked_at = anyio.current_time()
            failure: ConvexMcpError = _unreachable(lease)
            with anyio.CancelScope(deadline=held_until):
                try:
                    if await self._extend(lease):
                        held_until = asked_at + lease.ttl_s
                    else:
                        lease.lost = _taken(lease)
                except ConvexMcpError as exc:
                    # A full disk, a locked database or a server that restarts may pass before the lease does.
                    failure = exc
            if anyio.current_time() >= held_until:
                lease.lost = lease.lost or failure
        scope.cancel()

    async def _extend(self, lease: _Lease) -> bool:
        # One that expired and that nobody took is still this holder's.
        row = update(leases).where(*_is(lease)).values(expires_at=database_clock() + lease.ttl_s)
        async with self._database.writing() as connection:
            return (await connection.execute(row)).rowcount > 0

    async def _release(self, lease: _Lease) -> None:
        # What the block did stands, whether or not its lease can be given back: it expires by itself.
        with suppress(ConvexMcpError):
            async with self._database.writing() as connection:
                await connection.execute(delete(leases).where(*_is(lease)))


def _taken(lease: _Lease) -> PushUnderWay:
    return PushUnderWay(
        f"Another push has taken `{lease.name}`, since this one stood still too long.",
        next_step="Wait until the other has ended, then push again.",
    )


def _unreachable(lease: _Lease) -> StoreUnreachable:
    return StoreUnreachable(
        f"The store was away for as long as the lease `{lease.name}` lasts.", next_step="Repeat the call."
    )


def _is(lease: _Lease) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return leases.c.name == lease.name, leases.c.holder == lease.holder
