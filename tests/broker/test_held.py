"""Sessions that are opened after their CLI has come: it waits, and is let in or turned away."""

from __future__ import annotations

import anyio
import httpx2
import pytest

from mcp_convex.broker import LocalGate, Tuning
from mcp_convex.domain.ports import HeldSession, PushTerms

pytestmark = pytest.mark.anyio


@pytest.fixture
async def gate(anyio_backend):
    gate = LocalGate(Tuning(idle_s=0.2, most_waiting=2))
    yield gate
    await gate.aclose()


async def ignore(stage):
    pass


async def ask(held: HeldSession) -> int:
    headers = {"Authorization": f"Convex {held.placeholder.get_secret_value()}"}
    async with httpx2.AsyncClient(trust_env=False) as http:
        return (await http.get(f"{held.url}/api/v1/get_canonical_urls", headers=headers)).status_code


async def test_who_comes_early_is_answered_once_the_session_is_open(deployment):
    gate = LocalGate(Tuning())
    held = await gate.hold()
    terms = PushTerms(purpose="push", reach=deployment.reach, deadline_s=9)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            answered = anyio.Event()

            async def come():
                assert 200 == await ask(held)
                answered.set()

            tasks.start_soon(come)
            with anyio.move_on_after(0.2):
                await answered.wait()
            assert not answered.is_set()
            async with held.open(terms, ignore):
                await answered.wait()
    await gate.aclose()


async def test_who_waits_for_nothing_is_turned_away(gate):
    held = await gate.hold()

    assert 403 == await ask(held)
    assert not held.is_waiting


async def test_it_is_turned_away_as_soon_as_memory_is_short(deployment):
    spare = iter([True, True, False])
    gate = LocalGate(Tuning(look_every_s=0.01), may_wait=lambda: next(spare))
    held = await gate.hold()

    with anyio.fail_after(60):
        assert 403 == await ask(held)
    assert not held.is_waiting
    await gate.aclose()


async def test_beyond_a_bound_the_oldest_is_turned_away(gate):
    first, second, third = [await gate.hold() for _ in range(3)]

    assert 401 == await ask(first)
    assert [True, True] == [held.is_waiting for held in (second, third)]


@pytest.mark.parametrize("by", ["waiting for nothing", "too many others"])
async def test_who_was_turned_away_may_still_be_opened_for_another(gate, deployment, by):
    held = await gate.hold()
    if by == "too many others":
        for _ in range(2):
            await gate.hold()
    assert await ask(held) in {401, 403}

    async with held.open(PushTerms(purpose="push", reach=deployment.reach, deadline_s=9), ignore):
        assert 200 == await ask(held)
    assert 401 == await ask(held)
