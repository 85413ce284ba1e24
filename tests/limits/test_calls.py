"""Calls, streams and pushes of one principal, each within its own bound."""

from __future__ import annotations

from contextlib import AsyncExitStack

import anyio
import pytest

from mcp_convex.domain.errors import TooManyCalls, TooManyPushes
from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports import NoProgress
from mcp_convex.limits import CallBounds, Calls, Pushes

pytestmark = pytest.mark.anyio

ADA, BOB = PrincipalId("ada"), PrincipalId("bob")


async def test_streams_that_are_held_open_are_bounded_and_take_no_calls_place():
    calls = Calls(CallBounds(a_minute=0, burst=0, at_once=1))
    async with AsyncExitStack() as stack:
        for _ in range(64):
            await stack.enter_async_context(calls.begin(ADA, is_stream=True))
        with pytest.raises(TooManyCalls) as refused:
            await stack.enter_async_context(calls.begin(ADA, is_stream=True))
        assert "streams" in refused.value.message
        await stack.enter_async_context(calls.begin(BOB, is_stream=True))
        await stack.enter_async_context(calls.begin(ADA))
    assert (0, 0) == (calls.streams.under_way, calls.turns.under_way)


async def test_a_push_that_finds_too_many_waiting_is_told_when_to_come_again():
    pushes = Pushes(at_once=1, each=1)

    async def push() -> None:
        async with pushes.begin(ADA, NoProgress()):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(push)
        await anyio.wait_all_tasks_blocked()
        assert (1, 4) == (pushes.turns.under_way, pushes.turns.waiting)
        with pytest.raises(TooManyPushes) as refused:
            await push()
        assert (30, "Wait 30 s, then call again.") == (refused.value.retry_after_s, refused.value.next_step)
        tasks.cancel_scope.cancel()
    assert (0, 0) == (pushes.turns.under_way, pushes.turns.waiting)
