"""Dev servers of several principals over real HTTP: who hears of them, and what a restart of the server leaves."""

from __future__ import annotations

from contextlib import asynccontextmanager

import anyio
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.doubles.following import PUSHES, following
from tests.doubles.hosting import hosted, hosted_settings, tokens_file
from tests.world import NOTES

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def follower(host, name, era="auto"):
    async with host.http(host.tokens[name]) as http:

        def connect(listen):
            return Client(streamable_http_client(host.url, http_client=http), mode=era, message_handler=listen)

        async with following(connect, host.settings, era) as dev:
            yield dev


async def test_it_is_announced_to_its_principal_alone_and_goes_on_when_the_server_is_started_again(tmp_path):
    file, tokens = tokens_file(tmp_path, "alice", "bob")
    settings = hosted_settings(tmp_path, tokens_file=str(file))
    async with hosted(settings, tokens) as host:
        folder = host.furnish("tokens-file alice")
        async with follower(host, "alice", "legacy") as alice, follower(host, "bob") as bob:
            await alice.world.hold({})
            await alice.start()
            (folder / "convex/first.ts").write_text(NOTES)
            await alice.until_pushed()
            assert 0 == bob.heard.statistics().current_buffer_used
            assert not (await bob.status())["on"]

    (folder / "convex/while_it_was_down.ts").write_text(NOTES)
    async with hosted(settings, tokens) as host, follower(host, "alice") as alice:
        with anyio.fail_after(60):
            while PUSHES != await alice.heard.receive():
                pass
        assert (await alice.world.content("list_functions", search="while_it_was_down"))["functions"]
        off = await alice.world.content("dev_server", action="stop")
        assert (False, None) == (off["on"], off["stopped_because"])
