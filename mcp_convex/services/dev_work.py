"""The work of a dev server: watching for what is new, pushing it, and going on after a crash."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass

import anyio

from mcp_convex.domain.dev_servers import DevServer, DevServerState
from mcp_convex.domain.diagnostics import STUBBORN
from mcp_convex.domain.errors import BlockedByPolicy, ConvexMcpError, PushUnderWay
from mcp_convex.domain.ports import Announcements, DeploymentApi, DevServerStore, LeaseStore, Sandbox
from mcp_convex.domain.ports.announcing import DEV_SERVER
from mcp_convex.domain.pushes import FailureClass, PushRecord, same_failure
from mcp_convex.domain.snapshots import fingerprint
from mcp_convex.domain.spans import span
from mcp_convex.services.audit import AuditService
from mcp_convex.services.dev_records import DevRecords
from mcp_convex.services.dev_status import failures_alike
from mcp_convex.services.pushes import PushService
from mcp_convex.services.snapshots import SnapshotService
from mcp_convex.services.targets import TargetService

logger = logging.getLogger(__name__)

KeepOpen = Callable[[], AbstractAsyncContextManager[object]]

_PASSING: frozenset[FailureClass] = frozenset({"transient", "timeout", "conflict"})
"""Failures that no edit can mend, and that may be gone by the next try."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DevServerPorts:
    """What a dev server needs of the outside."""

    sandbox: Sandbox
    api: DeploymentApi
    store: DevServerStore
    leases: LeaseStore
    announcements: Announcements


@dataclass(frozen=True, slots=True, kw_only=True)
class DevServerParts:
    """The services that it is put together from."""

    pushes: PushService
    snapshots: SnapshotService
    targets: TargetService
    audit: AuditService


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """In seconds."""

    quiet_s: float = 0.1
    """After a write until it is pushed, so that a burst of writes is one push."""
    restless_s: float = 2.0
    """After which a burst that does not end is pushed all the same."""
    look_s: float = 5.0
    """Between two looks whether it is still to be on, and whether another server has left the work."""
    first_pause_s: float = 1.0
    """After a crash until it goes on; twice as long after each further one."""
    longest_pause_s: float = 60.0
    idle_s: float = 8 * 3600.0
    """Without a write, a push or a question until it ends by itself: a sandbox and its packages are kept for it."""
    lease_s: float = 30.0
    """Until another server goes on in the place of one that died."""
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    """How it waits for quiet."""


class _NotNow(Exception):
    """A push came to nothing for a reason that may be gone in a moment."""


class DevWork:
    """
    Pushes what is written, by whatever hand.

    Of several processes over one store, a lease decides which does the work, and the others stand by.
    """

    def __init__(self, ports: DevServerPorts, parts: DevServerParts, records: DevRecords, pace: Pace) -> None:
        self.state: DevServerState = "off"
        self.trouble: str | None = None
        """What kept it from pushing, so that it tries again."""
        self._ports = ports
        self._pushes = parts.pushes
        self._targets = parts.targets
        self._audit = parts.audit
        self._records = records
        self._pace = pace
        self._changed = asyncio.Event()
        self._decided = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._lacking: frozenset[str] | None = None
        """The deployment's env vars when a push was rejected for want of another."""
        self._crashes = 0
        self._owes_push = False
        """A push was begun, and has come to nothing that an edit could change."""
        self._used_at = time.monotonic()

    async def begin(self, keep_open: KeepOpen) -> None:
        """Have this process do the work, or wait to take it over, and return once it is known which."""
        if self._running is None or self._running.done():
            self._decided.clear()
            self.trouble, self._lacking, self._crashes, self._owes_push = None, None, 0, False
            # In a context of its own: it belongs to no call, and outlives the one that begins it.
            self._running = asyncio.create_task(self._run(keep_open), context=Context())
        await self._decided.wait()

    async def end(self) -> None:
        """Return once nothing is done any more, after the record was ended."""
        if self._running is not None:
            self.look()
            await self._running

    async def aclose(self) -> None:
        """End at once what is done here."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    def look(self) -> None:
        """Look whether there is something to push, or an end."""
        self._changed.set()

    def is_used(self) -> None:
        """Take notice that somebody needs this."""
        self._used_at = time.monotonic()

    async def latest_pushes(self) -> Sequence[PushRecord]:
        """Return the workspace's pushes, newest first, as far back as they failed alike."""
        found: list[PushRecord] = []
        async for record in self._pushes.latest():
            if found and not same_failure(found[0].result, record.result):
                break
            found.append(record)
        return found

    async def _is_new(self) -> bool:
        """Say whether the files are others than those of the last push, whatever came of that."""
        files = await self._ports.sandbox.list()
        async for record in self._pushes.latest():
            if record.sources is not None:
                return record.sources != fingerprint(files)
        return True

    async def _run(self, keep_open: KeepOpen) -> None:
        """Do the work until it is off; after a crash, go on a while later."""
        try:
            async with keep_open():
                while await self._goes_on():
                    await self._until_changed(self._pause_s())
        finally:
            self.state = "off"
            self._decided.set()

    async def _goes_on(self) -> bool:
        """Do the work until it is off or something fails, and say whether there is more to do."""
        try:
            if await self._records.current() is None:
                return False
            async with self._ports.leases.hold(f"dev_server:{self._records.owner[1]}", ttl_s=self._pace.lease_s):
                await self._become("waiting")
                await self._work()
        except PushUnderWay:
            await self._become("elsewhere")
        except (_NotNow, ConvexMcpError) as exc:
            await self._crashed(str(exc))
        except Exception as exc:  # noqa: BLE001 - nobody else would see it; its text may hold a key, its type does not
            logger.error("dev server: %s", type(exc).__name__)  # noqa: TRY400 - a traceback may hold a key too
            await self._crashed("A bug in mcp-convex stopped it.")
        else:
            return False
        return True

    async def _crashed(self, why: str) -> None:
        self.trouble = why
        self._crashes += 1
        self._changed.clear()
        await self._become("retrying")

    def _pause_s(self) -> float:
        if self.state == "elsewhere":
            return self._pace.look_s
        return min(self._pace.first_pause_s * 2.0 ** (self._crashes - 1), self._pace.longest_pause_s)

    async def _become(self, state: DevServerState) -> None:
        self._decided.set()
        if state != "retrying":
            self.trouble = None
        if state != self.state:
            self.state = state
            await self._ports.announcements.updated(DEV_SERVER)

    async def _work(self) -> None:
        """Push what is new, until it is off."""
        async with self._watching() as watching:
            was_written = True
            while (server := await self._records.current()) is not None:
                if await self._is_due(was_written=was_written):
                    await self._push(server)
                elif time.monotonic() - self._used_at > self._pace.idle_s:
                    await self._records.end(server, "Nothing was written, and nobody asked for it, for a long time.")
                was_written = await self._until_changed(self._pace.look_s)
                if watching.done():
                    await watching

    async def _is_due(self, *, was_written: bool) -> bool:
        if was_written:
            return self._owes_push or await self._is_new()
        return self._lacking is not None and self._lacking != await self._env_vars()

    async def _push(self, server: DevServer) -> None:
        self.is_used()
        self._owes_push = True
        await self._become("pushing")
        try:
            with span("dev_server"):
                result = await self._pushes.push()
        except PushUnderWay as exc:
            raise _NotNow(exc.message) from None
        except BlockedByPolicy as exc:
            await self._records.end(server, exc.message)
            return
        if result.failure in _PASSING:
            raise _NotNow(f"The push {result.id} failed, and not because of what was written: {result.failure}.")
        self._owes_push, self._crashes = False, 0
        self._lacking = await self._env_vars() if result.failure == "env_missing" else None
        await self._audit.record("dev_server", {}, outcome=result.outcome, duration_s=result.duration_s)
        if failures_alike(server, await self.latest_pushes()) >= STUBBORN:
            await self._records.end(server, f"{STUBBORN} pushes in a row failed for the same reason.")
        await self._become("waiting")

    async def _env_vars(self) -> frozenset[str]:
        return frozenset(await self._ports.api.list_env_vars(await self._targets.reach()))

    async def _until_changed(self, within_s: float) -> bool:
        """Return once something was written and it is quiet again, or after *within_s* seconds; say which it was."""
        with anyio.move_on_after(within_s):
            await self._changed.wait()
        was_changed = self._changed.is_set()
        with anyio.move_on_after(self._pace.restless_s):
            while self._changed.is_set():
                self._changed.clear()
                await self._pace.sleep(self._pace.quiet_s)
        return was_changed

    @asynccontextmanager
    async def _watching(self) -> AsyncGenerator[asyncio.Task[None]]:
        """Take notice of what other hands write, for the block; the task is over only if that fails."""
        watching = asyncio.create_task(self._watch())
        try:
            yield watching
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def _watch(self) -> None:
        try:
            async with aclosing(self._ports.sandbox.watched()) as changes:
                async for _ in changes:
                    self._changed.set()
        finally:
            self._changed.set()
