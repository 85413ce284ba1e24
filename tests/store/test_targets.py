"""The workspace's target and its admin key, kept and read back."""

from __future__ import annotations

import pytest

from mcp_convex.domain.models import Target
from mcp_convex.domain.ports import Reach
from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.database import DatabasePlace
from mcp_convex.store.store import Store
from tests.store.raw import Raw
from tests.store.records import ADA, BOB, CANARY, CHAT, SHOP, reach

pytestmark = pytest.mark.anyio


async def test_a_workspace_that_was_never_linked_has_no_target(store: Store) -> None:
    assert None is await store.targets.get(ADA, CHAT)


async def test_a_target_is_read_back_whole_after_the_store_was_closed(database: DatabasePlace, ring: KeyRing) -> None:
    target = Target(kind="cloud", name="happy-otter-123", url="https://a.example", site_url="https://b.example")
    async with open_store(database, ring) as store:
        await store.targets.put(ADA, CHAT, Reach(target, reach().credential))

    async with open_store(database, ring) as store:
        found = await store.targets.get(ADA, CHAT)

    assert found is not None
    assert target == found.target
    assert CANARY == found.credential.get_secret_value()


async def test_linking_again_replaces_the_target_and_its_key(store: Store) -> None:
    await store.targets.put(ADA, CHAT, reach("old.example"))
    await store.targets.put(ADA, CHAT, reach("new.example", key="new|key"))

    found = await store.targets.get(ADA, CHAT)

    assert found is not None
    assert ("new.example", "new|key") == (found.target.name, found.credential.get_secret_value())


async def test_unlinking_says_whether_there_was_a_target(store: Store) -> None:
    await store.targets.put(ADA, CHAT, reach())

    assert await store.targets.delete(ADA, CHAT)
    assert not await store.targets.delete(ADA, CHAT)
    assert None is await store.targets.get(ADA, CHAT)


async def test_a_principal_reaches_only_what_is_theirs(store: Store) -> None:
    await store.targets.put(ADA, CHAT, reach("ada.example"))
    await store.targets.put(ADA, SHOP, reach("shop.example"))
    await store.targets.put(BOB, CHAT, reach("bob.example"))

    assert await store.targets.delete(BOB, CHAT)
    assert None is await store.targets.get(BOB, CHAT)
    assert None is await store.targets.get(BOB, SHOP)
    found = await store.targets.get(ADA, CHAT)
    assert found is not None
    assert "ada.example" == found.target.name


async def test_no_byte_of_a_key_is_in_the_database_while_open_or_closed(raw: Raw, ring: KeyRing) -> None:
    async with open_store(raw.place, ring) as store:
        await store.targets.put(ADA, CHAT, reach())
        assert b"convex.example.com" in raw.everything()
        assert b"canary" not in raw.everything()
    assert b"convex.example.com" in raw.everything()
    assert b"canary" not in raw.everything()


async def test_what_was_unlinked_is_overwritten(raw: Raw, ring: KeyRing) -> None:
    async with open_store(raw.place, ring) as store:
        await store.targets.put(ADA, CHAT, reach("gone.example"))
        await store.targets.delete(ADA, CHAT)

    assert b"gone.example" not in raw.everything()
