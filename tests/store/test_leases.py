"""At most one holder at a time: in this process, among real processes, and after one died or stood still."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from mcp_convex.domain.errors import PushUnderWay, StoreCorrupt
from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.store import Store
from tests.store.raw import Raw

pytestmark = pytest.mark.anyio

LONG_S = 60.0
SHORT_S = 2.0


@dataclass
class Holder:
    """The other end of `holder.py`."""

    process: Process
    output: TextReceiveStream
    heard: str = ""

    async def says(self) -> str:
        while "\n" not in self.heard:
            self.heard += await self.output.receive()
        line, self.heard = self.heard.split("\n", 1)
        return line

    async def go(self) -> None:
        assert self.process.stdin is not None
        await self.process.stdin.send(b"\n")


@asynccontextmanager
async def holder(raw: Raw, name: str, ttl_s: float) -> AsyncIterator[Holder]:
    script = str(Path(__file__).with_name("holder.py"))
    async with await anyio.open_process([sys.executable, script, raw.argument, name, str(ttl_s)], stderr=None) as it:
        assert it.stdout is not None
        try:
            yield Holder(it, TextReceiveStream(it.stdout))
        finally:
            if it.returncode is None:
                it.kill()


async def hold_once_free(store: Store, name: str) -> None:
    """Take *name* as soon as its holder's time is over."""
    with anyio.fail_after(60):
        while True:
            try:
                async with store.leases.hold(name, ttl_s=LONG_S):
                    return
            except PushUnderWay:
                await anyio.lowlevel.checkpoint()


async def test_a_name_that_is_held_is_refused_until_it_is_released(store: Store) -> None:
    async with store.leases.hold("a", ttl_s=LONG_S), store.leases.hold("b", ttl_s=LONG_S):
        with pytest.raises(PushUnderWay):
            async with store.leases.hold("a", ttl_s=LONG_S):
                pytest.fail("held twice")
    async with store.leases.hold("a", ttl_s=LONG_S):
        pass


async def test_of_several_names_all_are_held_or_none(store: Store) -> None:
    async with store.leases.hold("b", ttl_s=LONG_S):
        with pytest.raises(PushUnderWay, match="`b`"):
            async with store.leases.hold("c", "b", "a", ttl_s=LONG_S):
                pytest.fail("held twice")
        async with store.leases.hold("c", "a", ttl_s=LONG_S):
            for name in ("a", "c"):
                with pytest.raises(PushUnderWay, match=f"`{name}`"):
                    async with store.leases.hold(name, ttl_s=LONG_S):
                        pytest.fail("held twice")
    async with store.leases.hold("a", "b", "c", ttl_s=LONG_S):
        pass


async def test_the_blocks_own_error_comes_out_as_it_is_and_the_lease_is_released(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        async with store.leases.hold("a", ttl_s=LONG_S):
            _ = 1 / 0

    async with store.leases.hold("a", ttl_s=LONG_S):
        pass


async def test_a_cancelled_holder_releases_the_lease(store: Store) -> None:
    with anyio.CancelScope() as scope:
        async with store.leases.hold("a", ttl_s=LONG_S):
            scope.cancel()
            await anyio.sleep_forever()

    async with store.leases.hold("a", ttl_s=LONG_S):
        pass


async def test_among_racing_processes_exactly_one_holds(raw: Raw) -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(anyio.fail_after(60))
        holders = [await stack.enter_async_context(holder(raw, "a", LONG_S)) for _ in range(4)]
        assert ["ready"] * 4 == [await each.says() for each in holders]
        for each in holders:
            await each.go()

        assert ["held", "refused", "refused", "refused"] == sorted([await each.says() for each in holders])


async def test_the_lease_of_a_killed_process_expires(raw: Raw, store: Store) -> None:
    async with holder(raw, "a", SHORT_S) as other:
        with anyio.fail_after(30):
            await other.says()
            await other.go()
            assert "held" == await other.says()
        with pytest.raises(PushUnderWay):
            async with store.leases.hold("a", ttl_s=LONG_S):
                pytest.fail("held twice")

        other.process.kill()

        await hold_once_free(store, "a")


async def test_a_lease_is_renewed_for_as_long_as_its_block_runs_whoever_has_the_connections(
    raw: Raw, store: Store, ring: KeyRing
) -> None:
    async with (
        open_store(raw.place, ring, connections=1) as one,
        one.leases.hold("a", ttl_s=SHORT_S),
        one._database.reading(),
    ):
        with anyio.move_on_after(3 * SHORT_S):
            await hold_once_free(store, "a")
            pytest.fail("held twice")


async def test_a_process_that_stood_still_loses_its_lease_and_stops_what_it_did(raw: Raw, store: Store) -> None:
    async with holder(raw, "a", SHORT_S) as other:
        with anyio.fail_after(30):
            await other.says()
            await other.go()
            assert "held" == await other.says()
        other.process.send_signal(signal.SIGSTOP)
        await hold_once_free(store, "a")

        other.process.send_signal(signal.SIGCONT)

        with anyio.fail_after(30):
            assert "lost" == await other.says()


async def test_a_holder_that_cannot_reach_the_store_gives_up_when_its_time_is_over(raw: Raw, store: Store) -> None:
    async def hold_while_the_store_breaks() -> None:
        async with store.leases.hold("a", ttl_s=SHORT_S):
            raw.execute("DROP TABLE leases")
            await anyio.sleep_forever()

    with anyio.fail_after(30), pytest.raises(StoreCorrupt):
        await hold_while_the_store_breaks()
