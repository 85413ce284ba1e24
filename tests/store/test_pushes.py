"""What came of each push, kept and read back."""

from __future__ import annotations

import pytest

from mcp_convex.domain.errors import NotFound, StoreCorrupt
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.snapshots import NewSnapshot, Snapshot
from mcp_convex.store.pushes import KEPT
from mcp_convex.store.store import Store
from tests.store.raw import Raw
from tests.store.records import ADA, BOB, CHAT, SHOP, push

pytestmark = pytest.mark.anyio


async def ids(store: Store, principal: PrincipalId, workspace: WorkspaceId) -> list[str]:
    return [record.id async for record in store.pushes.latest(principal, workspace)]


async def test_a_push_is_read_back_whole(store: Store) -> None:
    await store.pushes.add(ADA, push(1, note="Ünïcödé 😀"))

    assert push(1, note="Ünïcödé 😀") == await store.pushes.get(ADA, "push0001")


async def test_pushes_come_newest_first_whatever_the_order_they_were_kept_in(store: Store) -> None:
    for number in (2, 3, 1):
        await store.pushes.add(ADA, push(number))

    assert ["push0003", "push0002", "push0001"] == await ids(store, ADA, CHAT)


async def test_keeping_a_push_again_replaces_it(store: Store) -> None:
    await store.pushes.add(ADA, push(1))
    await store.pushes.add(ADA, push(1, note="more"))

    assert [push(1, note="more")] == [record async for record in store.pushes.latest(ADA, CHAT)]


async def test_the_oldest_pushes_of_a_full_workspace_go_and_no_others(store: Store) -> None:
    await store.pushes.add(ADA, push(0, SHOP))
    await store.pushes.add(BOB, push(1))
    for number in range(2, KEPT + 4):
        await store.pushes.add(ADA, push(number))

    kept = await ids(store, ADA, CHAT)

    assert (KEPT, f"push{KEPT + 3:04}", "push0004") == (len(kept), kept[0], kept[-1])
    assert ["push0000"] == await ids(store, ADA, SHOP)
    assert ["push0001"] == await ids(store, BOB, CHAT)


async def test_a_push_of_another_principal_is_not_found(store: Store) -> None:
    await store.pushes.add(ADA, push(1))

    with pytest.raises(NotFound):
        await store.pushes.get(BOB, "push0001")
    assert [] == await ids(store, BOB, CHAT)


async def test_two_principals_may_have_pushes_with_the_same_id(store: Store) -> None:
    await store.pushes.add(ADA, push(1, note="ada"))
    await store.pushes.add(BOB, push(1, note="bob"))

    assert push(1, note="ada") == await store.pushes.get(ADA, "push0001")
    assert push(1, note="bob") == await store.pushes.get(BOB, "push0001")


async def test_a_reader_that_stops_early_leaves_the_store_usable(store: Store) -> None:
    for number in range(3):
        await store.pushes.add(ADA, push(number))

    for _ in range(20):
        async for record in store.pushes.latest(ADA, CHAT):
            assert "push0002" == record.id
            break
    await store.pushes.add(ADA, push(9))


async def test_a_record_that_this_version_cannot_read_is_named_as_such(store: Store, raw: Raw) -> None:
    await store.pushes.add(ADA, push(1))
    raw.execute("""UPDATE pushes SET record = '{"id": "push0001", "of_the_future": true}'""")

    with pytest.raises(StoreCorrupt, match="shape"):
        await store.pushes.get(ADA, "push0001")


async def test_a_push_and_the_snapshot_of_what_it_made_live_are_kept_together_or_not_at_all(store: Store) -> None:
    snapshot = Snapshot(id="snap", workspace=CHAT, taken_at=push(1).started_at, reason="pushed", files=())
    await store.pushes.add(ADA, push(1), NewSnapshot(snapshot, {}))
    assert [snapshot] == [kept async for kept in store.snapshots.latest(ADA, CHAT)]

    with pytest.raises(AttributeError):  # no content
        await store.pushes.add(ADA, push(2), NewSnapshot(snapshot.model_copy(update={"id": "no"}), {"0": None}))
    assert ["push0001"] == await ids(store, ADA, CHAT)
    assert [snapshot] == [kept async for kept in store.snapshots.latest(ADA, CHAT)]
