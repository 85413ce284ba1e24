"""Snapshots of a workspace's files, kept with each content once, and read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from mcp_convex.domain.models import FileEntry, FilePath, PrincipalId, WorkspaceId
from mcp_convex.domain.snapshots import NewSnapshot, Snapshot
from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.snapshots import KEPT
from mcp_convex.store.store import Store
from tests.store.raw import Raw
from tests.store.records import ADA, BOB, CHAT, SHOP, new_key

pytestmark = pytest.mark.anyio


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def snapshot(number: int, workspace: WorkspaceId = CHAT, **files: bytes) -> Snapshot:
    return Snapshot(
        id=f"snap{number:04}",
        workspace=workspace,
        taken_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number),
        reason="pushed",
        files=tuple(
            FileEntry(path=FilePath(f"convex/{name}.ts"), size=len(content), sha256=digest(content))
            for name, content in files.items()
        ),
    )


async def keep(store: Store, number: int, principal: PrincipalId = ADA, **files: bytes) -> Snapshot:
    taken = snapshot(number, **files)
    await store.snapshots.add(principal, NewSnapshot(taken, {digest(content): content for content in files.values()}))
    return taken


async def ids(store: Store, principal: PrincipalId, workspace: WorkspaceId = CHAT) -> list[str]:
    return [taken.id async for taken in store.snapshots.latest(principal, workspace)]


async def test_a_snapshot_is_read_back_whole_whatever_its_bytes(store: Store) -> None:
    taken = await keep(store, 1, schema=b"\x00\xff binary", text="Ünïcödé 😀".encode())

    assert [taken] == [found async for found in store.snapshots.latest(ADA, CHAT)]
    wanted = {file.sha256 for file in taken.files}
    contents = await store.snapshots.contents(ADA, CHAT, wanted)
    assert {b"\x00\xff binary", "Ünïcödé 😀".encode()} == set(contents.values())
    assert wanted == set(contents)


async def test_snapshots_come_newest_first(store: Store) -> None:
    for number in (2, 3, 1):
        await keep(store, number)

    assert ["snap0003", "snap0002", "snap0001"] == await ids(store, ADA)


async def test_what_is_kept_already_is_not_missing(store: Store) -> None:
    await keep(store, 1, schema=b"a")

    assert {digest(b"b")} == await store.snapshots.missing(ADA, CHAT, {digest(b"a"), digest(b"b")})


async def test_nothing_of_another_principal_or_workspace_is_reached(store: Store) -> None:
    await keep(store, 1, schema=b"a")

    for principal, workspace in ((BOB, CHAT), (ADA, SHOP)):
        assert [] == await ids(store, principal, workspace)
        assert {digest(b"a")} == await store.snapshots.missing(principal, workspace, {digest(b"a")})
        assert {} == await store.snapshots.contents(principal, workspace, {digest(b"a")})


async def test_the_oldest_of_a_full_workspace_go_with_what_only_they_held(store: Store) -> None:
    await keep(store, 0, schema=b"old", shared=b"shared")
    await keep(store, 1, BOB, schema=b"old")
    for number in range(1, KEPT + 1):
        await keep(store, number, shared=b"shared")

    kept = await ids(store, ADA)

    assert (KEPT, "snap0001") == (len(kept), kept[-1])
    assert {digest(b"old")} == await store.snapshots.missing(ADA, CHAT, {digest(b"old"), digest(b"shared")})
    assert ["snap0001"] == await ids(store, BOB)
    assert frozenset() == await store.snapshots.missing(BOB, CHAT, {digest(b"old")})


async def test_more_files_than_one_statement_takes_are_one_snapshot(store: Store) -> None:
    files = {f"f{number}": str(number).encode() for number in range(1_203)}
    taken = await keep(store, 1, **files)

    digests = {file.sha256 for file in taken.files}
    assert frozenset() == await store.snapshots.missing(ADA, CHAT, digests)
    assert set(files.values()) == set((await store.snapshots.contents(ADA, CHAT, digests)).values())


async def test_the_contents_are_sealed_and_turn_with_the_keys(raw: Raw, ring: KeyRing) -> None:
    async with open_store(raw.place, ring) as store:
        await keep(store, 1, schema=b"const recognisable = 1;")
    assert b"recognisable" not in raw.everything()

    newer = new_key()
    async with open_store(raw.place, KeyRing((newer, *ring.keys))) as store:
        await store.rotate()
    async with open_store(raw.place, KeyRing((newer,))) as store:
        contents = await store.snapshots.contents(ADA, CHAT, {digest(b"const recognisable = 1;")})
    assert [b"const recognisable = 1;"] == list(contents.values())
