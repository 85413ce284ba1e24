"""What a store remembers is never older than what anybody has committed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.store import Store
from tests.store.records import ADA, BOB, CHAT, connection, event, reach

pytestmark = pytest.mark.anyio


async def test_what_another_store_commits_is_seen_by_the_next_read(store: Store, database: Path, ring: KeyRing) -> None:
    async with open_store(database, ring) as other:
        for number in range(20):
            await other.targets.put(ADA, CHAT, reach(f"n{number}.example"))
            found = await store.targets.get(ADA, CHAT)
            assert found is not None
            assert f"n{number}.example" == found.target.name
            await other.connections.put(ADA, connection(f"c{number}"))
            assert number + 1 == len(await store.connections.list(ADA))
        await other.targets.delete(ADA, CHAT)
        assert None is await store.targets.get(ADA, CHAT)
    assert None is await store.targets.get(ADA, CHAT)


async def test_what_is_read_again_while_nothing_changed_is_not_asked_of_a_file(tmp_path: Path, ring: KeyRing) -> None:
    async with open_store(tmp_path / "store.db", ring) as store:
        await store.connections.put(ADA, connection())
        first = await store.connections.list(ADA)
        assert first is await store.connections.list(ADA)
        await store.audit.add(BOB, event(1))
        assert first is not (again := await store.connections.list(ADA))
        assert first == again


async def test_one_principal_is_never_shown_what_was_remembered_for_another(store: Store) -> None:
    await store.connections.put(ADA, connection())
    for _ in range(2):
        assert (connection(),) == await store.connections.list(ADA)
        assert () == await store.connections.list(BOB)
