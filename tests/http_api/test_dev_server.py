"""The dev server over HTTP: what its workspace holds goes live, and the status tells so."""

from __future__ import annotations

import anyio
import pytest

from tests.doubles.backend import code, said
from tests.doubles.hosting import hosted, hosted_settings, tokens_file

pytestmark = pytest.mark.anyio


async def test_a_backend_starts_and_stops_it_and_sees_what_was_pushed(tmp_path):
    file, tokens = tokens_file(tmp_path, "alice", "bob")
    async with hosted(hosted_settings(tmp_path, tokens_file=str(file))) as host:
        host.furnish("tokens-file alice")
        async with host.client(tokens["alice"]) as world:
            await world.hold({})
        assert not (await said(host, tokens["alice"], "dev/stop"))["on"]
        assert (await said(host, tokens["alice"], "dev/start"))["on"]
        with anyio.fail_after(60):
            while (status := await said(host, tokens["alice"], "status"))["last_push"] is None:  # noqa: ASYNC110 - as a backend looks
                await anyio.sleep(0.1)
        again = await said(host, tokens["alice"], "dev/start")
        stopped = await said(host, tokens["alice"], "dev/stop")

        assert ("pushed", True) == (status["last_push"]["outcome"], status["dev_server"]["on"])
        assert (True, False) == (again["on"], stopped["on"])
        assert not (await said(host, tokens["bob"], "status"))["dev_server"]["on"]
        narrowed = await said(host, tokens["alice"], "status", query="?toolsets=connection")
        assert (None, None) == (narrowed["dev_server"], narrowed["last_push"])
        assert (403, "action_not_allowed") == await code(host, tokens["alice"], "dev/start", query="?read_only=true")
        assert (409, "cannot_ask") == await code(host, tokens["alice"], "connect")
