"""The dev server of a workspace: what is written there goes live by itself, for as long as it is on."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from datetime import UTC, datetime

from mcp_convex.domain.dev_servers import DevServerAction, DevServerStatus
from mcp_convex.domain.errors import PushUnderWay
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import Progress
from mcp_convex.services.dev_records import DevRecords
from mcp_convex.services.dev_status import status_of
from mcp_convex.services.dev_work import DevServerParts, DevServerPorts, DevWork, KeepOpen, Pace


class DevServerService:
    """Turns it on and off, and tells of it. Whether it is on stands in the store, where it outlives this process."""

    def __init__(
        self,
        ports: DevServerPorts,
        parts: DevServerParts,
        policy: Policy,
        *,
        owner: tuple[PrincipalId, WorkspaceId],
        pace: Pace | None = None,
    ) -> None:
        self._records = DevRecords(
            store=ports.store, announcements=ports.announcements, targets=parts.targets, owner=owner
        )
        self._work = DevWork(ports, parts, self._records, pace or Pace())
        self._pushes = parts.pushes
        self._snapshots = parts.snapshots
        self._targets = parts.targets
        self._policy = policy
        self._keep_open: KeepOpen = nullcontext

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
        self._work.is_used()
        now = datetime.now(UTC)
        target = (await self._targets.reach()).target
        self._policy.check_dev_server(target)
        if not await self._is_live():
            with suppress(PushUnderWay):  # another process pushes; what is still new then is pushed below
                await self._pushes.push(progress=progress)
        await self._records.begin(target, now)
        await self._work.begin(self._keep_open)
        return await self._status()

    async def stop(self) -> DevServerStatus:
        """Turn it off, and return once a push that is under way is over."""
        if (server := await self._records.current()) is not None:
            await self._records.end(server)
        await self._work.end()
        return await self._status()

    async def status(self) -> DevServerStatus:
        """Return whether it is on, and what came of the last push."""
        self._work.is_used()
        await self._go_on()
        return await self._status()

    async def resume(self, keep_open: KeepOpen = nullcontext) -> None:
        """
        Go on where an earlier process had it on, or stand by where another has it.

        Args:
            keep_open: Keeps the workspace from being closed for the block; entered while it is on.
        """
        self._keep_open = keep_open
        await self._go_on()

    def wrote(self) -> None:
        """Take notice of a write, which need not wait to be watched."""
        self._work.is_used()
        self._work.look()

    async def aclose(self) -> None:
        """End what runs here; whether it is on does not change."""
        await self._work.aclose()

    async def _go_on(self) -> None:
        if not self._policy.read_only and await self._records.current() is not None:
            await self._work.begin(self._keep_open)

    async def _status(self) -> DevServerStatus:
        pushes = await self._work.latest_pushes()
        return status_of(await self._records.latest(), self._work.state, pushes, self._work.trouble)

    async def _is_live(self) -> bool:
        """Say whether the deployment has what stands in the files, and the last push did not fail."""
        async for record in self._pushes.latest():
            deployed = (await self._snapshots.history()).deployed
            return record.result.failure is None and deployed is not None and deployed.matches
        return False
