"""Which workspaces have a dev server, kept for each principal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mcp_convex.domain.dev_servers import DevServer
from mcp_convex.store.store import Store
from tests.store.records import ADA, BOB, CHAT, SHOP, reach

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def dev_server(*, on: bool = True, because: str | None = None) -> DevServer:
    return DevServer(on=on, started_at=NOON, since=NOON, target=reach().target, because=because)


async def test_the_last_that_was_kept_is_returned_to_its_principal(store: Store) -> None:
    assert None is await store.dev_servers.get(ADA, CHAT)
    await store.dev_servers.put(ADA, CHAT, dev_server())
    await store.dev_servers.put(ADA, CHAT, dev_server(on=False, because="It is late."))

    assert dev_server(on=False, because="It is late.") == await store.dev_servers.get(ADA, CHAT)
    assert None is await store.dev_servers.get(BOB, CHAT)
    assert None is await store.dev_servers.get(ADA, SHOP)


async def test_those_that_are_on_are_named_whosever_they_are(store: Store) -> None:
    await store.dev_servers.put(ADA, CHAT, dev_server())
    await store.dev_servers.put(ADA, SHOP, dev_server(on=False))
    await store.dev_servers.put(BOB, CHAT, dev_server())

    assert [(ADA, CHAT), (BOB, CHAT)] == sorted(await store.dev_servers.on())
