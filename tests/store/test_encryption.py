"""Wrong keys, moved rows and rotation, through the store and its file."""

from __future__ import annotations

import pytest
from sqlalchemy import LargeBinary

from mcp_convex.domain.errors import StoreCorrupt
from mcp_convex.domain.models import FilePath
from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.database import DatabasePlace
from mcp_convex.store.store import _AT_ONCE, Store
from mcp_convex.store.tables import ENCRYPTED, metadata
from tests.store.raw import Raw, Row
from tests.store.records import (
    ADA,
    BOB,
    CANARY,
    CHAT,
    SHOP,
    TOKEN_CANARY,
    VERIFIER_CANARY,
    connection,
    flow,
    new_key,
    reach,
    token,
    verifier,
)

pytestmark = pytest.mark.anyio

OLD, NEW = new_key(), new_key()


async def key_of(store: Store) -> str:
    found = await store.targets.get(ADA, CHAT)
    assert found is not None
    return found.credential.get_secret_value()


@pytest.fixture
async def linked(database: DatabasePlace) -> DatabasePlace:
    """A store with two keys in it, encrypted with the old key."""
    async with open_store(database, KeyRing((OLD,))) as store:
        await store.targets.put(ADA, CHAT, reach())
        await store.targets.put(BOB, SHOP, reach(key="bob|key"))
    return database


async def test_an_older_key_of_the_ring_still_decrypts(linked: DatabasePlace) -> None:
    async with open_store(linked, KeyRing((NEW, OLD))) as store:
        assert CANARY == await key_of(store)


async def test_after_a_rotation_the_older_key_is_not_needed_any_more(linked: DatabasePlace) -> None:
    async with open_store(linked, KeyRing((NEW, OLD))) as store:
        assert 2 == await store.rotate()

    async with open_store(linked, KeyRing((NEW,))) as store:
        assert CANARY == await key_of(store)
    async with open_store(linked, KeyRing((OLD,))) as store:
        with pytest.raises(StoreCorrupt):
            await key_of(store)


async def test_a_rotation_covers_tokens_and_verifiers_too(database: DatabasePlace) -> None:
    async with open_store(database, KeyRing((OLD,))) as store:
        await store.connections.put_token(ADA, connection(), token())
        await store.connections.put(ADA, connection("without"))
        await store.pages.add_flow(ADA, flow("s1"), verifier())
    async with open_store(database, KeyRing((NEW, OLD))) as store:
        assert 2 == await store.rotate()

    async with open_store(database, KeyRing((NEW,))) as store:
        assert TOKEN_CANARY == (await store.connections.token(ADA, connection().id)).get_secret_value()
        assert VERIFIER_CANARY == (await store.pages.take_flow("s1"))[2].get_secret_value()


def test_every_column_of_bytes_is_covered_by_a_rotation() -> None:
    sealed = {
        column for table in metadata.tables.values() for column in table.c if isinstance(column.type, LargeBinary)
    }

    assert sealed == set(ENCRYPTED)


async def test_a_wrong_key_is_named_and_nothing_is_lost(linked: DatabasePlace) -> None:
    async with open_store(linked, KeyRing((NEW,))) as store:
        with pytest.raises(StoreCorrupt) as caught:
            await key_of(store)
        with pytest.raises(StoreCorrupt):
            await store.rotate()

    assert "MCP_CONVEX_ENCRYPTION_KEYS" in caught.value.next_step
    async with open_store(linked, KeyRing((OLD,))) as store:
        assert CANARY == await key_of(store)


async def test_a_rotation_comes_to_every_row(database: DatabasePlace) -> None:
    async with open_store(database, KeyRing((OLD,))) as store:
        for workspace in (CHAT, SHOP):
            await store.journal.record(ADA, workspace, {FilePath(f"{n}.ts"): b"x" for n in range(_AT_ONCE)})
    async with open_store(database, KeyRing((NEW, OLD))) as store:
        assert 2 * _AT_ONCE == await store.rotate()

    async with open_store(database, KeyRing((NEW,))) as store:
        paths = [FilePath(f"{n}.ts") for n in range(_AT_ONCE)]
        assert _AT_ONCE == len(await store.journal.contents(ADA, SHOP, paths))


async def test_a_rotation_that_meets_a_row_it_cannot_decrypt_changes_none(linked: DatabasePlace) -> None:
    async with open_store(linked, KeyRing((new_key(),))) as store:
        await store.targets.put(ADA, SHOP, reach(key="ada|other"))

    async with open_store(linked, KeyRing((NEW, OLD))) as store:
        with pytest.raises(StoreCorrupt):
            await store.rotate()

    async with open_store(linked, KeyRing((OLD,))) as store:
        assert CANARY == await key_of(store)


@pytest.mark.parametrize(
    "change",
    [
        "credential = (SELECT credential FROM targets WHERE principal = 'bob')",
        "credential = substr(credential, 1, length(credential) - 1)",
        "credential = substr(credential, 2)",
        "credential = substr(credential, 1, 10)",
        "credential = substr(credential, 1, 0)",
    ],
)
async def test_a_key_that_was_altered_or_copied_from_another_row_is_refused(
    linked: DatabasePlace, raw: Raw, change: str
) -> None:
    raw.execute(f"UPDATE targets SET {change} WHERE principal = 'ada'")  # noqa: S608 - of this file

    async with open_store(linked, KeyRing((OLD,))) as store:
        with pytest.raises(StoreCorrupt):
            await key_of(store)


async def test_the_same_key_is_never_encrypted_to_the_same_bytes(linked: DatabasePlace, raw: Raw) -> None:
    def sealed() -> list[Row]:
        return raw.execute("SELECT credential FROM targets WHERE principal = 'ada'")

    before = sealed()
    async with open_store(linked, KeyRing((OLD,))) as store:
        await store.targets.put(ADA, CHAT, reach())

    assert before != sealed()
