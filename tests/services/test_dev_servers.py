"""How a dev server goes on after its sandbox was lost, and how it ends where nobody needs it any more."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import pytest

from mcp_convex.domain.dev_servers import DevServer, DevServerStatus
from mcp_convex.domain.errors import SandboxLost
from mcp_convex.domain.ports import Announcements
from mcp_convex.sandboxes import LocalSandbox
from mcp_convex.server.adapters import opened_adapters, opened_shared
from mcp_convex.server.place import find_asset, find_place
from mcp_convex.server.wiring import wired
from mcp_convex.services.dev_servers import DevServerService
from mcp_convex.services.dev_work import DevServerParts, DevServerPorts, Pace
from mcp_convex.services.files import Change
from tests.world import APP, make_settings

pytestmark = pytest.mark.anyio

HASTY = Pace(look_s=0.05, first_pause_s=0.1, longest_pause_s=0.3, idle_s=0.5)


class Heard(Announcements):
    def __init__(self) -> None:
        self.news = anyio.Event()

    async def updated(self, *uris: str) -> None:
        self.news.set()


class Fickle(LocalSandbox):
    """Vanishes four times before it stays."""

    watched_at: list[float]

    async def watched(self) -> AsyncGenerator[None]:
        self.watched_at.append(anyio.current_time())
        if len(self.watched_at) <= 4:
            raise SandboxLost("It is gone.", next_step="Wait.")
        async for _ in super().watched():
            yield


@asynccontextmanager
async def opened(folder) -> AsyncIterator[tuple[DevServerService, Fickle, Heard]]:
    """Open a dev server that an earlier server has left on, over the example app."""
    settings = make_settings(folder, armed_pushes=False)
    place, heard = find_place(settings), Heard()
    async with (
        opened_shared(settings, None) as shared,
        opened_adapters(settings, place, shared, heard) as adapters,
        wired(settings, place, adapters) as services,
    ):
        sandbox = Fickle(place.root, place.state, shared.launcher, find_asset("sandbox_template"))
        sandbox.watched_at = []
        store = shared.store
        ports = DevServerPorts(
            sandbox=sandbox, api=shared.api, store=store.dev_servers, leases=store.leases, announcements=heard
        )
        parts = DevServerParts(
            pushes=services.pushes, snapshots=services.snapshots, targets=services.targets, audit=services.audit
        )
        dev = DevServerService(ports, parts, settings.policy, owner=place.owner, pace=HASTY)
        await services.files.write([Change(path=path, content=text) for path, text in APP.items()])
        target, now = (await services.targets.reach()).target, datetime.now(UTC)
        await store.dev_servers.put(*place.owner, DevServer(on=True, started_at=now, since=now, target=target))
        yield dev, sandbox, heard
        await dev.aclose()


async def test_it_goes_on_after_each_crash_a_while_later_and_ends_once_nobody_needs_it(tmp_path):
    seen: list[DevServerStatus] = []
    async with opened(tmp_path) as (dev, sandbox, heard):
        await dev.resume()
        with anyio.fail_after(90):
            while not seen or seen[-1].on:
                heard.news = anyio.Event()
                seen.append(await dev.status())
                await heard.news.wait() if seen[-1].on else None

    gaps = [after - before for before, after in zip(sandbox.watched_at, sandbox.watched_at[1:], strict=False)]
    assert 4 == len(gaps)
    assert all(gap >= pause for gap, pause in zip(gaps, (0.1, 0.2, 0.3, 0.3), strict=True)), gaps
    assert "It is gone." in {status.trouble for status in seen if status.state == "retrying"}
    assert "pushed" == seen[-1].last_push.outcome
    assert "nobody asked for it" in seen[-1].stopped_because
