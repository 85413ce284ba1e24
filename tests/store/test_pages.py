"""Pages and OAuth flows: single use, also among processes, and gone when their time is over."""

from __future__ import annotations

import subprocess
import sys

import anyio
import pytest

from mcp_convex.domain.errors import NotFound
from mcp_convex.store.store import Store
from tests.store.raw import Raw
from tests.store.records import ADA, BOB, PAST, VERIFIER_CANARY, flow, page, verifier

pytestmark = pytest.mark.anyio

HANDLES = 12


async def test_a_page_is_found_as_often_as_one_likes_and_taken_once(store: Store) -> None:
    await store.pages.add(ADA, page("h1"))

    assert (ADA, page("h1")) == await store.pages.find("h1")
    assert (ADA, page("h1")) == await store.pages.take("h1")
    with pytest.raises(NotFound):
        await store.pages.take("h1")
    with pytest.raises(NotFound):
        await store.pages.find("h1")


async def test_a_flow_is_taken_once_with_its_verifier(store: Store) -> None:
    await store.pages.add_flow(BOB, flow("s1"), verifier())

    principal, taken, found = await store.pages.take_flow("s1")

    assert (BOB, flow("s1"), VERIFIER_CANARY) == (principal, taken, found.get_secret_value())
    with pytest.raises(NotFound):
        await store.pages.take_flow("s1")


async def test_what_has_expired_is_neither_found_nor_taken(store: Store) -> None:
    await store.pages.add(ADA, page("h1", expires=PAST))
    await store.pages.add_flow(ADA, flow("s1", expires=PAST), verifier())

    for refused in (store.pages.find("h1"), store.pages.take("h1"), store.pages.take_flow("s1")):
        with pytest.raises(NotFound):
            await refused


async def test_what_has_expired_leaves_the_store_when_the_next_is_added(raw: Raw, store: Store) -> None:
    for name in ("1", "2"):
        await store.pages.add(ADA, page(name, expires=PAST))
        await store.pages.add_flow(ADA, flow(name, expires=PAST), verifier())

    assert [(1, 1)] == raw.execute("SELECT (SELECT count(*) FROM pages), (SELECT count(*) FROM flows)")


async def test_each_page_and_flow_is_taken_by_exactly_one_of_several_processes(raw: Raw, store: Store) -> None:
    for number in range(HANDLES):
        await store.pages.add(ADA, page(f"{number}"))
        await store.pages.add_flow(ADA, flow(f"{number}"), verifier())
    taken: list[str] = []

    async def take_all() -> None:
        ran = await anyio.run_process([sys.executable, "-c", _TAKER, raw.argument], stderr=subprocess.DEVNULL)
        taken.extend(ran.stdout.decode().split())

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(take_all)

    assert sorted(f"{kind}{number}" for kind in ("page", "flow") for number in range(HANDLES)) == sorted(taken)


_TAKER = f"""
import anyio, pathlib, sys
from pydantic import SecretBytes, SecretStr
from mcp_convex.domain.errors import NotFound, StoreCorrupt
from mcp_convex.store import KeyRing, open_store
async def main():
    place = SecretStr(sys.argv[1]) if "://" in sys.argv[1] else pathlib.Path(sys.argv[1])
    async with open_store(place, KeyRing((SecretBytes(bytes(32)),))) as store:
        for number in range({HANDLES}):
            try:
                await store.pages.take(str(number))
                print(f"page{{number}}")
            except NotFound:
                pass
            try:
                await store.pages.take_flow(str(number))
            except NotFound:
                pass
            except StoreCorrupt:  # taken: only the verifier is of another key
                print(f"flow{{number}}")
anyio.run(main)
"""
