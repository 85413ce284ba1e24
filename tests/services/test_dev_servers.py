"""How a dev server waits for quiet, goes on after its sandbox was lost, and ends where nobody needs it any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import anyio
import pytest

from mcp_convex.domain.dev_servers import DevServer, DevServerStatus
from mcp_convex.domain.errors import SandboxLost
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import Announcements
from mcp_convex.sandboxes import LocalSandbox
from mcp_convex.server.adapters import opened_adapters, opened_shared
from mcp_convex.server.place import find_asset, find_place
from mcp_convex.server.wiring import wired
from mcp_convex.services import Services
from mcp_convex.services.dev_servers import DevServerService
from mcp_convex.services.dev_work import DevServerParts, DevServerPorts, Pace
from mcp_convex.services.files import Change
from tests.doubles.deployment import fake_deployment
from tests.world import APP, NOTES, make_settings

pytestmark = pytest.mark.anyio


class Heard(Announcements):
    def __init__(self) -> None:
        self.news = anyio.Event()

    async def updated(self, *uris: str) -> None:
        self.news.set()


class Fickle(LocalSandbox):
    """Vanishes a few times before it stays."""

    def vanish(self, times: int) -> None:
        """Do so *times* times from now on."""
        self.stays = anyio.Event()
        self.watched_at: list[float] = []
        self._times = times

    async def watched(self) -> AsyncGenerator[None]:
        self.watched_at.append(anyio.current_time())
        if len(self.watched_at) <= self._times:
            raise SandboxLost("It is gone.", next_step="Wait.")
        self.stays.set()
        async for _ in super().watched():
            yield


class Waits:
    """Stands in for sleep: while it is *held*, each wait lasts until a test sets its event."""

    def __init__(self) -> None:
        self.held = True
        self._begun = asyncio.Queue[asyncio.Event]()

    async def __call__(self, _seconds: float) -> None:
        if self.held:
            self._begun.put_nowait(over := asyncio.Event())
            await over.wait()

    async def next(self) -> asyncio.Event:
        """Return what ends the next wait, or the one under way, once it has begun."""
        with anyio.fail_after(90):
            return await self._begun.get()


@dataclass
class House:
    """A workspace with the example app."""

    services: Services
    ports: DevServerPorts
    parts: DevServerParts
    heard: Heard
    owner: tuple[PrincipalId, WorkspaceId]

    @asynccontextmanager
    async def left_on(self, pace: Pace, *, vanishing: int = 0) -> AsyncIterator[DevServerService]:
        """Go on with a dev server that an earlier server has left on, in a sandbox that vanishes so often."""
        self.sandbox.vanish(vanishing)
        target, now = (await self.services.targets.reach()).target, datetime.now(UTC)
        await self.ports.store.put(*self.owner, DevServer(on=True, started_at=now, since=now, target=target))
        dev = DevServerService(self.ports, self.parts, Policy(), owner=self.owner, pace=pace)
        await dev.resume()
        yield dev
        await dev.aclose()

    @property
    def sandbox(self) -> Fickle:
        assert isinstance(self.ports.sandbox, Fickle)
        return self.ports.sandbox

    async def write(self, files: dict[str, str]) -> None:
        await self.services.files.write([Change(path=path, content=text) for path, text in files.items()])

    async def until(self, dev: DevServerService, holds: Callable[[DevServerStatus], bool]) -> DevServerStatus:
        """Return the status once it *holds*, looking at it only when told that something has changed."""
        with anyio.fail_after(90):
            while True:
                self.heard.news = anyio.Event()
                if holds(status := await dev.status()):
                    return status
                await self.heard.news.wait()


@pytest.fixture(scope="module")
async def house(tmp_path_factory, anyio_backend) -> AsyncIterator[House]:
    settings = make_settings(tmp_path_factory.mktemp("house"), armed_pushes=False)
    place, heard = find_place(settings), Heard()
    async with (
        fake_deployment() as deployment,
        opened_shared(settings, None) as shared,
        opened_adapters(settings, place, shared, heard) as adapters,
        wired(settings, place, adapters) as services,
    ):
        sandbox = Fickle(place.root, place.state, shared.launcher, find_asset("sandbox_template"))
        ports = DevServerPorts(
            sandbox=sandbox,
            api=shared.api,
            store=shared.store.dev_servers,
            leases=shared.store.leases,
            announcements=heard,
        )
        parts = DevServerParts(
            pushes=services.pushes, snapshots=services.snapshots, targets=services.targets, audit=services.audit
        )
        house = House(services, ports, parts, heard, place.owner)
        await services.targets.link(deployment.url, deployment.reach.credential)
        await house.write(APP)
        yield house


async def test_after_a_crash_it_says_why_and_goes_on_with_the_next_write(house):
    async with house.left_on(Pace(first_pause_s=3600), vanishing=1) as dev:
        retrying = await house.until(dev, lambda now: now.state == "retrying")
        dev.wrote()
        status = await house.until(dev, lambda now: now.state == "waiting")
    assert ["It is gone.", None] == [retrying.trouble, status.trouble]


async def test_it_goes_on_after_each_crash_a_while_later_and_pushes_nothing_that_is_live(house):
    before = await house.services.pushes.recent(9)
    async with house.left_on(Pace(first_pause_s=0.1, longest_pause_s=0.3), vanishing=4):
        with anyio.fail_after(90):
            await house.sandbox.stays.wait()

    gaps = [after - before for before, after in pairwise(house.sandbox.watched_at)]
    assert all(gap >= pause for gap, pause in zip(gaps, (0.1, 0.2, 0.3, 0.3), strict=True)), gaps
    assert len(await house.services.pushes.recent(9)) <= max(1, len(before))


async def test_it_ends_once_nobody_needs_it(house):
    async with house.left_on(Pace(look_s=0.05, idle_s=0.2)) as dev:
        status = await house.until(dev, lambda now: not now.on)
    assert "nobody asked for it" in status.stopped_because


async def test_what_is_written_before_it_is_quiet_again_is_one_push(house):
    waits = Waits()
    async with house.left_on(Pace(restless_s=3600, sleep=waits)) as dev:
        over = await waits.next()  # at first it looks whether anything was written
        before = (await dev.status()).last_push
        for number in range(10):
            await house.write({f"convex/n{number}.ts": NOTES})
            dev.wrote()
            over.set()
            over = await waits.next()
        waits.held = False
        over.set()
        status = await house.until(dev, lambda now: now.state == "waiting" and now.last_push != before)
        assert "pushed" == status.last_push.outcome
        assert [status.last_push, before] == list(await house.services.pushes.recent(2))
        assert (await house.services.snapshots.history()).deployed.matches


async def test_a_burst_that_does_not_end_is_pushed_all_the_same(house):
    waits = Waits()
    async with house.left_on(Pace(restless_s=0.1, sleep=waits)) as dev:
        await waits.next()
        before = (await dev.status()).last_push
        await house.write({"convex/burst.ts": NOTES})
        dev.wrote()
        status = await house.until(dev, lambda now: now.state == "waiting" and now.last_push != before)
        assert "pushed" == status.last_push.outcome
