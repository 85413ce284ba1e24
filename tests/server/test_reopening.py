"""What a server's start makes of the dev servers that an earlier one has left on."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import pytest

from mcp_convex.domain.errors import StoreUnreachable
from mcp_convex.domain.ports import DevServerStore
from mcp_convex.server.households import Room, opened_households
from mcp_convex.server.reopening import reopened

pytestmark = pytest.mark.anyio


class Away(DevServerStore):
    """A store that has gone away since it was opened."""

    def __init__(self) -> None:
        self.asked = anyio.Event()

    async def get(self, principal, workspace):
        raise NotImplementedError

    async def put(self, principal, workspace, server):
        raise NotImplementedError

    async def on(self):
        self.asked.set()
        raise StoreUnreachable("The store is away.", next_step="Wait.")


@asynccontextmanager
async def open_for(principal, name):
    yield pytest.fail(f"{principal}'s {name} was opened")


async def test_a_store_that_goes_away_as_the_server_starts_does_not_end_it(caplog):
    store = Away()
    with anyio.fail_after(60):
        async with (
            opened_households(open_for, idle_s=60, room=Room(each=1, all=1)) as households,
            reopened(households, store),
        ):
            await store.asked.wait()
    assert ["dev servers that were left on are not known: store_unreachable"] == caplog.messages
