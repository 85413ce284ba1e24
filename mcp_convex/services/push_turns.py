"""One push of a workspace at a time: a caller that asks for another waits for it, and may share its result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from mcp_convex.domain.errors import PushUnderWay
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports import DevServerStore, PushStore, Sandbox
from mcp_convex.domain.pushes import Purpose, PushRecord, PushResult
from mcp_convex.domain.snapshots import fingerprint

_LOOK_S = 0.5
"""Between two tries while another process pushes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller wants of a push."""

    purpose: Purpose
    consented: bool
    agreed: frozenset[str]
    restore: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTurns:
    """
    The turns of one workspace.

    A push of this process is waited for, and so is one of another process's dev server, which pushes unasked.
    Beside any other push of another process, the call fails.
    """

    pushes: PushStore
    dev_servers: DevServerStore
    sandbox: Sandbox
    owner: tuple[PrincipalId, WorkspaceId]
    patience_s: float
    alone: asyncio.Lock
    """Held while the CLI may run in this workspace for this process."""

    async def take(self, asked: Asked, push: Callable[[], Awaitable[PushResult]]) -> PushResult:
        """
        Return the result of the push that was under way, if a *push* now would come to the same; else push.

        Raises:
            PushUnderWay: Another process pushes, and not for the dev server, or for longer than this waits.
        """
        give_up_at = time.monotonic() + self.patience_s
        waits = self.alone.locked()
        before = await self._latest() if waits else None
        while True:
            async with self.alone:
                over = await self._latest() if waits else None
                if over is not None and over != before and await self._answers(asked, over):
                    return over.result
                try:
                    return await push()
                except PushUnderWay:
                    if time.monotonic() > give_up_at or not await self._is_kept_live():
                        raise
            waits, before = True, await self._latest()
            await anyio.sleep(_LOOK_S)

    async def _latest(self) -> PushRecord | None:
        async for record in self.pushes.latest(*self.owner):
            return record
        return None

    async def _answers(self, asked: Asked, over: PushRecord) -> bool:
        """Say whether what came of *over* is what would come of a push now."""
        if asked.purpose == "preview" or over.sources is None or over.result.failure not in {None, "source"}:
            return False
        if asked.restore and over.result.failure:
            return False
        return over.sources == fingerprint(await self.sandbox.list())

    async def _is_kept_live(self) -> bool:
        server = await self.dev_servers.get(*self.owner)
        return server is not None and server.on
