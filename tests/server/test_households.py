"""When a principal's workspace is opened and closed, whoever calls and however they come together."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import pytest

from mcp_convex.domain.errors import DirectoryUnusable, TooManyWorkspaces
from mcp_convex.server.households import Households, Room, opened_households

pytestmark = pytest.mark.anyio

ROOM = Room(each=10, all=10)


class Ledger:
    """Opens services that are only their owner's name, and keeps what was opened and closed."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, str]] = []
        self.open_now: set[tuple[str, str]] = set()
        self.closed = anyio.Event()
        self.may_close = anyio.Event()
        self.may_close.set()
        self.may_open = anyio.Event()
        self.may_open.set()
        self.broken: Exception | None = None

    @asynccontextmanager
    async def open_for(self, principal, name):
        if self.broken is not None:
            raise self.broken
        whose = (principal, name)
        assert whose not in self.open_now, "what there is only one of was opened twice"
        self.opened.append(whose)
        await self.may_open.wait()
        self.open_now.add(whose)
        yield f"{principal}'s {name}"
        await self.may_close.wait()
        self.open_now.remove(whose)
        self.closed.set()


async def call(households: Households, principal: str, name: str = "default") -> str:
    async with households.of(principal, name) as services:
        return await services.get()


async def test_a_workspace_is_opened_once_for_all_who_call_for_it():
    ledger = Ledger()
    async with opened_households(ledger.open_for, idle_s=60, room=ROOM) as households:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(call, households, "alice")
                tasks.start_soon(call, households, "bob")
        assert "alice's default" == await call(households, "alice")
        assert "bob's other" == await call(households, "bob", "other")
        assert [("alice", "default"), ("bob", "default"), ("bob", "other")] == sorted(ledger.opened)
    assert set() == ledger.open_now


async def test_what_nobody_calls_is_closed_and_what_somebody_calls_is_not():
    ledger = Ledger()
    async with (
        opened_households(ledger.open_for, idle_s=0.05, room=ROOM) as households,
        households.of("bob", "default") as bobs,
    ):
        await bobs.get()
        await call(households, "alice")
        with anyio.fail_after(60):
            await ledger.closed.wait()
        assert {("bob", "default")} == ledger.open_now
        assert "alice's default" == await call(households, "alice")


async def test_what_is_kept_is_not_closed_for_want_of_calls_but_where_others_need_its_room():
    ledger = Ledger()
    async with opened_households(ledger.open_for, idle_s=0.05, room=ROOM) as households:
        await call(households, "alice")
        await call(households, "bob")
        async with households.keep("bob", "default"):
            with anyio.fail_after(60):
                await ledger.closed.wait()
            assert {("bob", "default")} == ledger.open_now
    async with opened_households(ledger.open_for, idle_s=60, room=Room(each=10, all=1)) as households:
        await call(households, "bob")
        async with households.keep("bob", "default"):
            await call(households, "carol")
            assert {("carol", "default")} == ledger.open_now


async def test_who_calls_while_a_workspace_closes_waits_for_it_to_be_closed():
    ledger = Ledger()
    ledger.may_close = anyio.Event()
    async with opened_households(ledger.open_for, idle_s=0.01, room=ROOM) as households:
        await call(households, "alice")
        with anyio.fail_after(60):
            while households._open[("alice", "default")].closed is None:
                await anyio.lowlevel.checkpoint()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, households, "alice")
                await anyio.wait_all_tasks_blocked()
                assert 1 == len(ledger.opened)
                ledger.may_close.set()
    assert 2 == len(ledger.opened)


@pytest.mark.parametrize("broken", [DirectoryUnusable("no", next_step="none"), ZeroDivisionError()])
async def test_a_workspace_that_cannot_be_opened_is_tried_again_by_the_next_call(broken):
    ledger = Ledger()
    ledger.broken = broken
    async with opened_households(ledger.open_for, idle_s=60, room=ROOM) as households:
        with pytest.raises(type(broken)):
            await call(households, "alice")
        ledger.broken = None
        assert "alice's default" == await call(households, "alice")


async def test_who_gives_up_leaves_the_opening_to_those_who_wait_with_them():
    ledger = Ledger()
    ledger.may_open = anyio.Event()
    async with (
        opened_households(ledger.open_for, idle_s=60, room=ROOM) as households,
        anyio.create_task_group() as rest,
    ):
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(call, households, "alice")
            await anyio.wait_all_tasks_blocked()
            rest.start_soon(call, households, "alice")
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        ledger.may_open.set()
        assert "alice's default" == await call(households, "alice")
        assert [("alice", "default")] == ledger.opened


async def test_the_workspace_that_was_not_called_for_longest_makes_room():
    ledger = Ledger()
    async with opened_households(ledger.open_for, idle_s=60, room=Room(each=2, all=3)) as households:
        for name in ("one", "two", "three"):
            await call(households, "alice", name)
        assert {("alice", "two"), ("alice", "three")} == ledger.open_now
        await call(households, "bob")
        await call(households, "carol")
        assert {("alice", "three"), ("bob", "default"), ("carol", "default")} == ledger.open_now
        async with households.of("alice", "three"), households.of("bob", "default"), households.of("carol", "default"):
            with pytest.raises(TooManyWorkspaces):
                await call(households, "dave")
        await call(households, "dave")
        assert 3 == households.open
