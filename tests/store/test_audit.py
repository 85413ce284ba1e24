"""Audit events: newest first, each principal's own, and not kept for ever."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import insert

from mcp_convex.domain.audit import digest
from mcp_convex.store.audit import KEPT
from mcp_convex.store.store import Store
from mcp_convex.store.tables import audit_events
from tests.store.records import ADA, BOB, NOW, event

pytestmark = pytest.mark.anyio


async def test_events_come_newest_first_and_no_more_than_asked_for(store: Store) -> None:
    for number in range(4):
        await store.audit.add(ADA, event(number, at=NOW + timedelta(seconds=number)))
    await store.audit.add(BOB, event(9))

    assert ["tool3", "tool2"] == [each.tool for each in await store.audit.latest(ADA, limit=2)]
    assert (event(9),) == await store.audit.latest(BOB, limit=10)


async def test_an_event_that_is_added_again_is_there_once(store: Store) -> None:
    for number in (1, 2, 1):
        await store.audit.add(ADA, event(number))

    assert ["tool2", "tool1"] == [each.tool for each in await store.audit.latest(ADA, limit=10)]


async def test_events_that_are_too_old_go(store: Store) -> None:
    await store.audit.add(ADA, event(1, at=NOW - KEPT))
    await store.audit.add(ADA, event(2))

    assert ["tool2"] == [each.tool for each in await store.audit.latest(ADA, limit=10)]


def test_a_digest_tells_calls_apart_only_for_who_has_the_key() -> None:
    arguments = {"names": ["A", "B"], "deep": {"x": 1}}

    assert digest(arguments, b"k") == digest(dict(reversed(arguments.items())), b"k")
    assert digest(arguments, b"k") != digest(arguments, b"other")
    assert digest(arguments, b"k") != digest({"names": ["B", "A"], "deep": {"x": 1}}, b"k")


async def test_all_events_are_handed_over_in_order_by_whom_and_since_when(store: Store) -> None:
    for number, whose in enumerate((ADA, BOB, ADA)):
        await store.audit.add(whose, event(number, at=NOW + timedelta(seconds=number)))

    async def tools(**wanted: object) -> list[tuple[str, str]]:
        return [
            (whose, each.tool) async for whose, each in store.audit.all(**{"since": None, "principal": None} | wanted)
        ]

    assert [(ADA, "tool0"), (BOB, "tool1"), (ADA, "tool2")] == await tools()
    assert [(ADA, "tool0"), (ADA, "tool2")] == await tools(principal=ADA)
    assert [(BOB, "tool1"), (ADA, "tool2")] == await tools(since=NOW + timedelta(seconds=1))


async def test_many_events_are_handed_over_while_others_are_kept(store: Store) -> None:
    many = 3_000
    rows = [{"principal": ADA, "at": NOW.timestamp(), "record": event(n).model_dump_json()} for n in range(many)]
    async with store._database.writing() as connection:
        await connection.execute(insert(audit_events), rows)

    seen = 0
    async for _ in store.audit.all(since=None, principal=None):
        seen += 1
        if seen == many // 2:
            await store.audit.add(BOB, event(many))
    assert many + 1 == seen
