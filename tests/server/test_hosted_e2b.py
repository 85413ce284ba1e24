"""The hosted shape over sandboxes at E2B: what it asks of the machine that it runs on."""

from __future__ import annotations

import anyio
import pytest

from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.server.hosted import serve
from tests.doubles.deployment import fake_deployment
from tests.doubles.e2b.cloud import API_KEY, E2BCloud
from tests.doubles.e2b.opening import loopback_e2b
from tests.doubles.hosting import hosted, hosted_settings, tokens_file
from tests.world import APP

pytestmark = pytest.mark.anyio


async def test_a_machine_without_walls_serves_what_runs_elsewhere_and_no_embedded_deployments(tmp_path) -> None:
    file, tokens = tokens_file(tmp_path, "alice")
    async with loopback_e2b(tmp_path / "boxes") as cloud, fake_deployment() as deployment:
        flags = {"tokens_file": str(file), "isolation": "none", **at(cloud)}
        settings = hosted_settings(tmp_path, {"E2B_API_KEY": API_KEY}, **flags)
        async with hosted(settings, tokens) as host, host.client(tokens["alice"]) as world:
            await world.write(APP)
            assert "isolation_unavailable" == await world.code("push")
            await host.link("tokens-file alice", deployment.reach)
            assert "pushed" == (await world.content("push"))["outcome"]
            assert 1 == deployment.pushes


async def test_a_server_without_a_key_says_so_at_its_start(tmp_path) -> None:
    with anyio.fail_after(60), pytest.raises(SettingsInvalid, match="need an API key"):
        await serve(hosted_settings(tmp_path, sandbox="e2b"), anyio.Event(), print)


def at(cloud: E2BCloud) -> dict[str, str]:
    return {"sandbox": "e2b", "e2b_api_url": cloud.url, "e2b_sandbox_url": cloud.url}
