"""Places in lists: whoever serves the next call finds them, and nobody else's."""

from __future__ import annotations

import pytest

from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.store import Store
from tests.store.raw import Raw
from tests.store.records import ADA, BOB, CHAT, SHOP

pytestmark = pytest.mark.anyio


async def test_a_place_is_found_by_another_server_for_its_own_workspace_only(raw: Raw, ring: KeyRing) -> None:
    async with open_store(raw.place, ring) as store, open_store(raw.place, ring) as other:
        short = await store.cursors.keep(ADA, CHAT, "page two")

        assert len(short) <= 12
        assert "page two" == await other.cursors.find(ADA, CHAT, short)
        for another in ((BOB, CHAT), (ADA, SHOP)):
            assert None is await other.cursors.find(*another, short)


async def test_a_place_is_forgotten_after_a_while(raw: Raw, store: Store) -> None:
    short = await store.cursors.keep(ADA, CHAT, "page two")
    raw.execute("UPDATE cursors SET expires_at = 1")

    assert None is await store.cursors.find(ADA, CHAT, short)
    await store.cursors.keep(ADA, CHAT, "page three")
    assert [(1,)] == raw.execute("SELECT count(*) FROM cursors")
