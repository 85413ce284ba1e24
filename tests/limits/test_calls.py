"""Calls and streams of one principal, each within its own bound."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from mcp_convex.domain.errors import TooManyCalls
from mcp_convex.domain.models import PrincipalId
from mcp_convex.limits import CallBounds, Calls

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
