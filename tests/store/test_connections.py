"""Connections and their tokens: kept, replaced, and deleted with all that came through them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mcp_convex.domain.connections import ConnectionId
from mcp_convex.domain.errors import NotConnected, NotFound
from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.database import DatabasePlace
from mcp_convex.store.store import Store
from tests.store.raw import Raw
from tests.store.records import (
    ADA,
    BOB,
    CHAT,
    NOW,
    SHOP,
    TOKEN_CANARY,
    connection,
    flow,
    reach,
    token,
    verifier,
)

pytestmark = pytest.mark.anyio

FIRST, SECOND = ConnectionId("first"), ConnectionId("second")


async def test_a_connection_is_read_back_whole_with_its_token(database: DatabasePlace, ring: KeyRing) -> None:
    async with open_store(database, ring) as store:
        await store.connections.put_token(ADA, connection(), token())

    async with open_store(database, ring) as store:
        assert (connection(),) == await store.connections.list(ADA)
        assert TOKEN_CANARY == (await store.connections.token(ADA, FIRST)).get_secret_value()


async def test_connections_come_newest_first(store: Store) -> None:
    for hours, name in ((2, "second"), (3, "third"), (1, "first")):
        await store.connections.put(ADA, connection(name, started=NOW + timedelta(hours=hours)))

    assert ["third", "second", "first"] == [each.id for each in await store.connections.list(ADA)]


async def test_recording_a_new_state_keeps_the_token(store: Store) -> None:
    await store.connections.put_token(ADA, connection(), token())
    await store.connections.put(ADA, connection(state="failed"))

    assert ["failed"] == [each.state for each in await store.connections.list(ADA)]
    assert TOKEN_CANARY == (await store.connections.token(ADA, FIRST)).get_secret_value()


async def test_a_connection_that_was_not_consented_to_has_no_token(store: Store) -> None:
    await store.connections.put(ADA, connection(state="connecting"))

    with pytest.raises(NotConnected):
        await store.connections.token(ADA, FIRST)
    with pytest.raises(NotConnected):
        await store.connections.token(ADA, SECOND)


async def test_deleting_takes_the_token_the_flows_and_the_targets_that_came_through_it(store: Store) -> None:
    await store.connections.put_token(ADA, connection(), token())
    await store.connections.put_token(ADA, connection("second"), token())
    await store.pages.add_flow(ADA, flow("s1"), verifier())
    await store.pages.add_flow(ADA, flow("s2", "second"), verifier())
    await store.targets.put(ADA, CHAT, reach(), connection=FIRST)
    await store.targets.put(ADA, SHOP, reach(), connection=SECOND)

    assert (CHAT,) == await store.connections.delete(ADA, FIRST)

    assert ["second"] == [each.id for each in await store.connections.list(ADA)]
    with pytest.raises(NotConnected):
        await store.connections.token(ADA, FIRST)
    with pytest.raises(NotFound):
        await store.pages.take_flow("s1")
    await store.pages.take_flow("s2")
    assert None is await store.targets.get(ADA, CHAT)
    assert None is not await store.targets.get(ADA, SHOP)


async def test_a_target_that_was_linked_anew_by_a_key_outlives_the_connection(store: Store) -> None:
    await store.connections.put_token(ADA, connection(), token())
    await store.targets.put(ADA, CHAT, reach(), connection=FIRST)
    await store.targets.put(ADA, CHAT, reach())

    assert () == await store.connections.delete(ADA, FIRST)
    assert None is not await store.targets.get(ADA, CHAT)


async def test_connections_with_the_same_id_are_each_their_principals_own(store: Store) -> None:
    await store.connections.put_token(ADA, connection(), token("ada|token"))
    await store.connections.put_token(BOB, connection(), token("bob|token"))
    await store.targets.put(ADA, CHAT, reach(), connection=FIRST)

    assert () == await store.connections.delete(BOB, FIRST)

    assert () == await store.connections.list(BOB)
    assert "ada|token" == (await store.connections.token(ADA, FIRST)).get_secret_value()
    assert None is not await store.targets.get(ADA, CHAT)


async def test_no_byte_of_a_token_or_verifier_is_in_the_database_there_or_deleted(raw: Raw, ring: KeyRing) -> None:
    async with open_store(raw.place, ring) as store:
        await store.connections.put_token(ADA, connection(), token())
        await store.pages.add_flow(ADA, flow("s1"), verifier())
        assert b"redirect_uri" in raw.everything()
        assert b"canary" not in raw.everything()
        await store.connections.delete(ADA, FIRST)

    assert b"canary" not in raw.everything()
    assert b"redirect_uri" not in raw.everything()
