"""Provisioning runs: found again while they are open."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import IntegrityError

from mcp_convex.store.store import Store
from tests.store.records import ADA, BOB, CHAT, SHOP, run

pytestmark = pytest.mark.anyio


async def test_a_run_is_found_as_it_was_recorded_last_until_it_has_ended(store: Store) -> None:
    assert None is await store.provisioning.open_run(ADA, CHAT, "chat")
    for step in ("selecting_team", "creating_deployment"):
        await store.provisioning.put(ADA, run(step=step))
        assert run(step=step) == await store.provisioning.open_run(ADA, CHAT, "chat")

    await store.provisioning.put(ADA, run(step="connected"))

    assert None is await store.provisioning.open_run(ADA, CHAT, "chat")


async def test_a_run_is_of_one_principal_one_workspace_and_one_name(store: Store) -> None:
    await store.provisioning.put(ADA, run())

    assert None is await store.provisioning.open_run(BOB, CHAT, "chat")
    assert None is await store.provisioning.open_run(ADA, SHOP, "chat")
    assert None is await store.provisioning.open_run(ADA, CHAT, "shop")


async def test_a_second_open_run_for_the_same_project_is_refused(store: Store) -> None:
    await store.provisioning.put(ADA, run(step="connected", number=1))
    await store.provisioning.put(ADA, run(number=2))

    with pytest.raises(IntegrityError):
        await store.provisioning.put(ADA, run(number=3))
    assert run(number=2) == await store.provisioning.open_run(ADA, CHAT, "chat")
