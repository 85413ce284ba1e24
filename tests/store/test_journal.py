"""The host's copy of a workspace's files: kept before they are applied, and never another's."""

from __future__ import annotations

from hashlib import sha256

import pytest

from mcp_convex.domain.models import FilePath
from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.database import DatabasePlace
from mcp_convex.store.store import Store
from tests.store.raw import Raw
from tests.store.records import ADA, BOB, CHAT, SHOP, new_key

pytestmark = pytest.mark.anyio

A, B = FilePath("convex/a.ts"), FilePath("convex/b.ts")
EVERY_BYTE = bytes(range(256))


async def test_what_was_recorded_is_read_back_whole_after_the_store_was_closed(raw: Raw, ring: KeyRing) -> None:
    async with open_store(raw.place, ring) as store:
        await store.journal.record(ADA, CHAT, {A: b"canary-one", B: EVERY_BYTE})

    async with open_store(raw.place, ring) as store:
        state = await store.journal.state(ADA, CHAT)
        contents = await store.journal.contents(ADA, CHAT, [A, B, FilePath("convex/none.ts")])

    assert {A: b"canary-one", B: EVERY_BYTE} == contents
    assert (256, sha256(EVERY_BYTE).hexdigest()) == (state.files[B].size, state.files[B].sha256)
    assert b"canary" not in raw.everything()


async def test_each_write_makes_a_version_and_a_deletion_is_remembered(store: Store) -> None:
    assert [1, 2] == [await store.journal.record(ADA, CHAT, changes) for changes in ({A: b"1", B: b"1"}, {B: None})]
    state = await store.journal.state(ADA, CHAT)
    assert (2, {A}, {B}) == (state.version, set(state.files), state.deleted)
    assert {} == await store.journal.contents(ADA, CHAT, [B])
    assert 3 == await store.journal.record(ADA, CHAT, {B: b"again"})
    assert frozenset() == (await store.journal.state(ADA, CHAT)).deleted


async def test_what_was_found_is_kept_unless_something_was_written_meanwhile(store: Store) -> None:
    assert await store.journal.record_found(ADA, CHAT, {A: b"found"}, version=0)
    await store.journal.record(ADA, CHAT, {A: b"written"})
    assert not await store.journal.record_found(ADA, CHAT, {A: b"late"}, version=0)
    assert {A: b"written"} == await store.journal.contents(ADA, CHAT, [A])
    assert 1 == (await store.journal.state(ADA, CHAT)).version


async def test_a_workspace_keeps_its_tag_and_shares_nothing_with_another(store: Store) -> None:
    await store.journal.record(ADA, CHAT, {A: b"ada's"})
    tags = {await store.journal.tag(*owner) for owner in ((ADA, CHAT), (ADA, CHAT), (ADA, SHOP), (BOB, CHAT))}
    assert 3 == len(tags)
    for owner in ((ADA, SHOP), (BOB, CHAT)):
        assert ({}, 0) == ((await store.journal.state(*owner)).files, (await store.journal.state(*owner)).version)
        assert {} == await store.journal.contents(*owner, [A])


async def test_thousands_of_files_are_recorded_and_read_at_once(store: Store) -> None:
    files = {FilePath(f"convex/f{number}.ts"): b"x" * 100 for number in range(2000)}
    await store.journal.record(ADA, CHAT, files)
    assert files == await store.journal.contents(ADA, CHAT, files)


async def test_rotating_the_keys_encrypts_the_files_anew(database: DatabasePlace, ring: KeyRing) -> None:
    newer = KeyRing((new_key(), *ring.keys))
    async with open_store(database, ring) as store:
        await store.journal.record(ADA, CHAT, {A: b"one", B: None})
    async with open_store(database, newer) as store:
        assert 1 == await store.rotate()
    async with open_store(database, KeyRing(newer.keys[:1])) as store:
        assert {A: b"one"} == await store.journal.contents(ADA, CHAT, [A])
