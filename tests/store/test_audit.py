"""Audit events: newest first, each principal's own, and not kept for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mcp_convex.domain.audit import digest
from mcp_convex.store.audit import KEPT
from mcp_convex.store.store import Store
from tests.store.records import ADA, BOB, NOW, event

pytestmark = pytest.mark.anyio


async def test_events_come_newest_first_and_no_more_than_asked_for(store: Store) -> None:
    for number in range(4):
        await store.audit.add(ADA, event(number, at=NOW + timedelta(seconds=number)))
    await store.audit.add(BOB, event(9))

    assert ["tool3", "tool2"] == [each.tool for each in await store.audit.latest(ADA, limit=2)]
    assert (event(9),) == await store.audit.latest(BOB, limit=10)


async def test_events_that_are_too_old_go(store: Store) -> None:
    await store.audit.add(ADA, event(1, at=NOW - KEPT))
    await store.audit.add(ADA, event(2))

    assert ["tool2"] == [each.tool for each in await store.audit.latest(ADA, limit=10)]


def test_a_digest_tells_calls_apart_only_for_who_has_the_key() -> None:
    arguments = {"names": ["A", "B"], "deep": {"x": 1}}

    assert digest(arguments, b"k") == digest(dict(reversed(arguments.items())), b"k")
    assert digest(arguments, b"k") != digest(arguments, b"other")
    assert digest(arguments, b"k") != digest({"names": ["B", "A"], "deep": {"x": 1}}, b"k")
