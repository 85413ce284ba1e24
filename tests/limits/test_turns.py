"""Turns are fair among principals, bounded, and given back however the work ends."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import pytest

from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports import Progress
from mcp_convex.limits.turns import Bounds, Crowded, Turns

pytestmark = pytest.mark.anyio

ADA, BOB, CAT = PrincipalId("ada"), PrincipalId("bob"), PrincipalId("cat")


class Told(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    async def report(self, done: float, total: float, doing: str) -> None:
        self.said.append(doing)


class Work:
    """Work that goes on until it is told to end, and who has begun theirs."""

    def __init__(self, **bounds) -> None:
        self.turns = Turns(Bounds(**{"at_once": 1, "each": 1, "waiting": 9, "patience_s": 20, **bounds}))
        self.begun: list[str] = []
        self._ends: list[anyio.Event] = []

    async def do(self, principal: PrincipalId) -> None:
        async with self.turns.take(principal):
            self.begun.append(principal)
            self._ends.append(end := anyio.Event())
            await end.wait()

    async def end_oldest(self) -> None:
        self._ends.pop(0).set()
        await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def working(work: Work, *whose: PrincipalId):
    async with anyio.create_task_group() as tasks:
        for principal in whose:
            tasks.start_soon(work.do, principal)
            await anyio.wait_all_tasks_blocked()
        yield tasks
        tasks.cancel_scope.cancel()


async def test_one_call_of_another_principal_does_not_wait_for_all_of_the_first_ones():
    work = Work()
    async with working(work, ADA, ADA, ADA, ADA, BOB, CAT):
        for _ in range(5):
            await work.end_oldest()
        assert [ADA, ADA, BOB, CAT, ADA, ADA] == work.begun


async def test_one_principal_never_has_more_than_theirs_though_there_is_room():
    work = Work(at_once=3, each=2)
    async with working(work, ADA, ADA, ADA, BOB):
        assert [ADA, ADA, BOB] == work.begun
        assert (3, 1) == (work.turns.under_way, work.turns.waiting)
        await work.end_oldest()
        assert [ADA, ADA, BOB, ADA] == work.begun
    assert (0, 0) == (work.turns.under_way, work.turns.waiting)


async def test_who_waits_is_told_and_who_waits_too_long_is_turned_away():
    work, told = Work(patience_s=0.05), Told()
    async with working(work, ADA):
        with pytest.raises(Crowded) as crowded:
            async with work.turns.take(BOB, told):
                raise AssertionError
        assert 0.05 == crowded.value.retry_after_s
        assert ["waiting for a turn: 1 under way, 1 waiting"] == told.said
        assert 0 == work.turns.waiting


async def test_more_than_may_wait_are_turned_away_at_once():
    work = Work(waiting=1)
    async with working(work, ADA, ADA):
        with pytest.raises(Crowded), anyio.fail_after(1):
            await work.do(ADA)


async def test_a_turn_that_comes_as_its_call_is_cancelled_goes_on_to_the_next():
    work = Work()
    async with working(work, ADA) as tasks:
        async with anyio.create_task_group() as leaving:
            leaving.start_soon(work.do, BOB)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(work.do, CAT)
            await anyio.wait_all_tasks_blocked()
            work._ends.pop(0).set()
            leaving.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        assert [ADA, CAT] == work.begun
        assert (1, 0) == (work.turns.under_way, work.turns.waiting)
