"""The dev server of a workspace: what is written there goes live by itself, for as long as it is on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio

from mcp_convex.domain.dev_servers import DevServer, DevServerAction, DevServerState, DevServerStatus
from mcp_convex.domain.diagnostics import STUBBORN
from mcp_convex.domain.errors import BlockedByPolicy, ConvexMcpError, PushUnderWay
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import Announcements, DeploymentApi, DevServerStore, LeaseStore, Progress, Sandbox
from mcp_convex.domain.ports.announcing import DEV_SERVER
from mcp_convex.domain.pushes import FailureClass, PushRecord, same_failure
from mcp_convex.domain.snapshots import fingerprint
from mcp_convex.services.audit import AuditService
from mcp_convex.services.dev_status import failures_alike, status_of
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


class _NotNow(Exception):
    """A push came to nothing for a reason that may be gone in a moment."""


class DevServerService:
    """
    Pushes what is written, by whatever hand.

    Whether it is on stands in the store, where it outlives this process; of several processes over one store,
    a lease decides which does the work, and the others stand by.
    """

    def __init__(
        self,
        ports: DevServerPorts,
        parts: DevServerParts,
        policy: Policy,
        *,
        owner: tuple[PrincipalId, WorkspaceId],
        pace: Pace | None = None,
    ) -> None:
        self._ports = ports
        self._pushes = parts.pushes
        self._snapshots = parts.snapshots
        self._targets = parts.targets
        self._audit = parts.audit
        self._policy = policy
        self._owner = owner
        self._pace = pace or Pace()
        self._changed = asyncio.Event()
        self._decided = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._state: DevServerState = "off"
        self._trouble: str | None = None
        self._lacking: frozenset[str] | None = None
        """The deployment's env vars when a push was rejected for want of another."""
        self._crashes = 0
        self._used_at = time.monotonic()
        self._keep_open: KeepOpen = nullcontext

    @property
    def is_on(self) -> bool:
        """Say whether this process keeps the workspace live, or stands by to do so."""
        return self._running is not None and not self._running.done()

    async def act(self, action: DevServerAction, progress: Progress | None = None) -> DevServerStatus:
        """Start, stop or look, as these say."""
        match action:
            case "start":
                return await self.start(progress)
            case "stop":
                return await self.stop()
            case "status":
                return await self.status()

    async def start(self, progress: Progress | None = None) -> DevServerStatus:
        """
        Turn it on, and push at once what is not live yet.

        Raises:
            BlockedByPolicy: The deployment is no dev or preview deployment, or the server is read-only.
            SandboxError: The workspace cannot be made ready.
        """
        self._used_at = time.monotonic()
        now = datetime.now(UTC)
        target = (await self._targets.reach()).target
        self._policy.check_dev_server(target)
        if not await self._is_live():
            with suppress(PushUnderWay):  # another process pushes; what is still new then is pushed below
                await self._pushes.push(progress=progress)
        if await self._server() is None:
            await self._keep(DevServer(on=True, started_at=now, since=now, target=target))
        await self._stand_by()
        return await self._status()

    async def stop(self) -> DevServerStatus:
        """Turn it off, and return once a push that is under way is over."""
        if (server := await self._server()) is not None:
            await self._end(server, None)
        if self._running is not None:
            self._changed.set()
            await self._running
        return await self._status()

    async def status(self) -> DevServerStatus:
        """Return whether it is on, and what came of the last push."""
        self._used_at = time.monotonic()
        await self._resume()
        return await self._status()

    async def resume(self, keep_open: KeepOpen = nullcontext) -> None:
        """
        Go on where an earlier process had it on, or stand by where another has it.

        Args:
            keep_open: Keeps the workspace from being closed for the block; entered while it is on.
        """
        self._keep_open = keep_open
        await self._resume()

    def wrote(self) -> None:
        """Take notice of a write, which need not wait to be watched."""
        self._used_at = time.monotonic()
        self._changed.set()

    async def aclose(self) -> None:
        """End what runs here; whether it is on does not change."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    async def _resume(self) -> None:
        if not self._policy.read_only and await self._server() is not None:
            await self._stand_by()

    async def _status(self) -> DevServerStatus:
        server = await self._ports.store.get(*self._owner)
        return status_of(server, self._state, await self._latest_pushes(), self._trouble)

    async def _latest_pushes(self) -> Sequence[PushRecord]:
        """Return the workspace's pushes, newest first, as far back as they failed alike."""
        found: list[PushRecord] = []
        async for record in self._pushes.latest():
            if found and not same_failure(found[0].result, record.result):
                break
            found.append(record)
        return found

    async def _is_live(self) -> bool:
        """Say whether the deployment has what stands in the files, and the last push did not fail."""
        async for record in self._pushes.latest():
            deployed = (await self._snapshots.history()).deployed
            return record.result.failure is None and deployed is not None and deployed.matches
        return False

    async def _is_new(self) -> bool:
        """Say whether the files are others than those of the last push, whatever came of that."""
        files = await self._ports.sandbox.list()
        async for record in self._pushes.latest():
            if record.sources is not None:
                return record.sources != fingerprint(files)
        return True

    async def _server(self) -> DevServer | None:
        """Return the record of what is on, if it is, and if the workspace still has the deployment that it is for."""
        server = await self._ports.store.get(*self._owner)
        if server is None or not server.on:
            return None
        linked = await self._targets.linked()
        if (linked.url if linked else None) != (None if server.target.kind == "embedded" else server.target.url):
            await self._end(server, f"The workspace does not push to `{server.target.name}` any more.")
            return None
        return server

    async def _end(self, server: DevServer, because: str | None) -> None:
        await self._keep(server.model_copy(update={"on": False, "since": datetime.now(UTC), "because": because}))

    async def _keep(self, server: DevServer) -> None:
        await self._ports.store.put(*self._owner, server)
        await self._ports.announcements.updated(DEV_SERVER)

    async def _stand_by(self) -> None:
        """Have this process do the work, or wait to take it over, and return once it is known which."""
        if not self.is_on:
            self._decided.clear()
            self._trouble, self._lacking, self._crashes = None, None, 0
            self._running = asyncio.create_task(self._run())
        await self._decided.wait()

    async def _run(self) -> None:
        """Do the work until it is off; after a crash, go on a while later."""
        try:
            async with self._keep_open():
                while await self._goes_on():
                    await self._until_changed(self._pause_s())
        finally:
            self._state = "off"
            self._decided.set()

    async def _goes_on(self) -> bool:
        """Do the work until it is off or something fails, and say whether there is more to do."""
        try:
            if await self._server() is None:
                return False
            async with self._ports.leases.hold(f"dev_server:{self._owner[1]}", ttl_s=self._pace.lease_s):
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
        self._trouble = why
        self._crashes += 1
        self._changed.clear()
        await self._become("retrying")

    def _pause_s(self) -> float:
        if self._state == "elsewhere":
            return self._pace.look_s
        return min(self._pace.first_pause_s * 2.0 ** (self._crashes - 1), self._pace.longest_pause_s)

    async def _become(self, state: DevServerState) -> None:
        self._decided.set()
        if state != self._state:
            self._state = state
            await self._ports.announcements.updated(DEV_SERVER)

    async def _work(self) -> None:
        """Push what is new, until it is off."""
        async with self._watching() as watching:
            was_written = True
            while (server := await self._server()) is not None:
                if await self._is_due(was_written=was_written):
                    await self._push(server)
                elif time.monotonic() - self._used_at > self._pace.idle_s:
                    await self._end(server, "Nothing was written, and nobody asked for it, for a long time.")
                was_written = await self._until_changed(self._pace.look_s)
                if watching.done():
                    await watching

    async def _is_due(self, *, was_written: bool) -> bool:
        if was_written:
            return self._trouble is not None or await self._is_new()
        return self._lacking is not None and self._lacking != await self._env_vars()

    async def _push(self, server: DevServer) -> None:
        self._used_at = time.monotonic()
        await self._become("pushing")
        try:
            result = await self._pushes.push()
        except PushUnderWay as exc:
            raise _NotNow(exc.message) from None
        except BlockedByPolicy as exc:
            await self._end(server, exc.message)
            return
        if result.failure in _PASSING:
            raise _NotNow(f"The push {result.id} failed, and not because of what was written: {result.failure}.")
        self._trouble, self._crashes = None, 0
        self._lacking = await self._env_vars() if result.failure == "env_missing" else None
        await self._audit.record("dev_server", {}, outcome=result.outcome, duration_s=result.duration_s)
        if failures_alike(server, await self._latest_pushes()) >= STUBBORN:
            await self._end(server, f"{STUBBORN} pushes in a row failed for the same reason.")
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
                await anyio.sleep(self._pace.quiet_s)
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
