"""What an operator can watch of a hosted server: its health, its metrics, and the ids of requests."""

from __future__ import annotations

import base64
import logging

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mcp_convex.server.watching import shows_metrics
from tests.doubles.deployment import Holds, fake_deployment
from tests.doubles.hosting import DISCOVER, HEADERS, hosted, hosted_settings, tokens_file
from tests.doubles.postgres import postgres_server

pytestmark = pytest.mark.anyio


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Return the samples of an exposition, by name and the values of their labels, by name too."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in found}


async def test_metrics_count_calls_and_pushes_and_name_no_principal(tmp_path):
    file, tokens = tokens_file(tmp_path, "alice")
    async with hosted(hosted_settings(tmp_path, tokens_file=str(file)), tokens) as host:
        host.furnish("tokens-file alice")
        async with host.client(tokens["alice"]) as world, host.http(None) as http:
            await world.hold({})
            await world.content("push")
            await world.code("read_file", path="convex/none.ts")
            await world.call("no_such_tool")
            shown = await http.get(f"{host.origin}/metrics")
    assert 200 == shown.status_code
    assert "alice" not in shown.text
    assert "no_such_tool" not in shown.text
    found = samples(shown.text)
    assert 1 == found["mcp_convex_tool_calls_total", "pushed", "push"]
    assert 1 == found["mcp_convex_tool_calls_total", "not_found", "read_file"]
    assert 1 == found["mcp_convex_tool_call_seconds_count", "push"]
    assert 1 == found["mcp_convex_pushes_total", "none", "pushed"]
    assert 1 == found[("mcp_convex_push_seconds_count",)]
    assert 1 == found[("mcp_convex_open_workspaces",)]
    assert 0 == found[("mcp_convex_pushes_waiting",)]
    assert 0 < found[("mcp_convex_event_loop_lag_seconds_count",)]


@pytest.mark.parametrize(
    ("host", "metrics", "shown"),
    [
        ("127.0.0.1", "auto", True),
        ("localhost", "auto", True),
        ("10.1.2.3", "auto", True),
        ("fd00::1", "auto", True),
        ("0.0.0.0", "auto", False),  # noqa: S104 - only judged
        ("::", "auto", False),
        ("8.8.8.8", "auto", False),
        ("convex.example.com", "auto", False),
        ("0.0.0.0", "on", True),  # noqa: S104 - only judged
        ("127.0.0.1", "off", False),
    ],
)
def test_metrics_are_shown_where_only_a_private_network_reaches(tmp_path, host, metrics, shown):
    assert shown == shows_metrics(hosted_settings(tmp_path, listen_host=host, metrics=metrics))


def test_metrics_are_kept_from_a_proxy_that_would_pass_them_on(tmp_path):
    public = {"public_url": "https://convex.example.com/mcp"}
    assert not shows_metrics(hosted_settings(tmp_path, **public))
    assert shows_metrics(hosted_settings(tmp_path, **public, metrics="on"))


async def test_a_server_that_shows_no_metrics_has_none(tmp_path):
    async with hosted(hosted_settings(tmp_path, metrics="off")) as host, host.http(None) as http:
        assert 404 == (await http.get(f"{host.origin}/metrics")).status_code
        async with host.client(None) as world:
            await world.content("list_files")


async def test_a_server_whose_store_is_away_is_not_ready_though_it_lives(tmp_path):
    with postgres_server() as postgres:
        secrets = {
            "MCP_CONVEX_DATABASE_URL": postgres.url(postgres.new_database()).get_secret_value(),
            "MCP_CONVEX_ENCRYPTION_KEYS": base64.b64encode(bytes(32)).decode(),
        }
        async with hosted(hosted_settings(tmp_path, secrets)) as host, host.http(None) as http:
            assert (200, "ready\n") == await said(http, f"{host.origin}/readyz")
            postgres.stop()
            with anyio.fail_after(60):
                while (answer := await said(http, f"{host.origin}/readyz"))[0] == 200:
                    await anyio.lowlevel.checkpoint()
                assert 503 == answer[0]
                assert (200, "alive\n") == await said(http, f"{host.origin}/healthz")
                postgres.start()
                while await said(http, f"{host.origin}/readyz") != (200, "ready\n"):
                    await anyio.lowlevel.checkpoint()


async def test_while_calls_finish_a_server_that_ends_is_not_ready_though_it_lives(tmp_path):
    file, tokens = tokens_file(tmp_path, "alice")
    settings = hosted_settings(tmp_path, tokens_file=str(file), drain_s="600")
    answers: list[dict[str, object]] = []
    with anyio.fail_after(120):
        async with (
            fake_deployment() as deployment,
            hosted(settings, tokens) as host,
            host.http(tokens["alice"], **HEADERS) as http,
            anyio.create_task_group() as tasks,
        ):

            async def call() -> None:
                answers.append((await host.tool(tokens["alice"], "list_env_vars"))["result"]["structuredContent"])

            await host.link("tokens-file alice", deployment.reach)
            deployment.always("list_environment_variables", held := Holds(applies=True))
            tasks.start_soon(call)
            await held.reached.wait()
            assert (200, "ready\n") == await said(http, f"{host.origin}/readyz")  # over a connection that it keeps
            host.stopping.set()
            while (ready := await said(http, f"{host.origin}/readyz")) == (200, "ready\n"):
                pass
            assert (503, "draining\n") == ready
            assert (200, "alive\n") == await said(http, f"{host.origin}/healthz")
            refused = await http.post(host.url, json=DISCOVER)
            assert (503, "draining") == (refused.status_code, refused.json()["code"])
            held.released.set()
    assert [True] == ["env_vars" in answer for answer in answers], answers


async def said(http, url: str) -> tuple[int, str]:
    answer = await http.get(url)
    return answer.status_code, answer.text


async def test_each_request_has_an_id_and_keeps_one_that_it_brings(tmp_path):
    async with hosted(hosted_settings(tmp_path)) as host, host.http(None, **HEADERS) as http:
        ids = [(await http.post(host.url, json=DISCOVER)).headers["x-request-id"] for _ in range(2)]
        assert ids[0] != ids[1]
        brought = await http.post(host.url, json=DISCOVER, headers={"X-Request-Id": "from-the-backend.7"})
        assert "from-the-backend.7" == brought.headers["x-request-id"]
        forged = await http.post(host.url, json=DISCOVER, headers={"X-Request-Id": "a b\tc"})
        assert "a b" not in forged.headers["x-request-id"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_is_logged_with_its_requests_id_and_none_of_its_arguments(tmp_path, mode, caplog):
    caplog.set_level(logging.INFO, "mcp_convex")
    async with hosted(hosted_settings(tmp_path)) as host, host.client(None, mode=mode) as world:
        await world.write({"convex/c4n4ry.ts": "// c4n4ry\n"})
    (line,) = [record for record in caplog.records if getattr(record, "tool", None) == "write_files"]
    assert ("write_files: ok", "ok") == (line.getMessage(), line.outcome)
    assert "c4n4ry" not in caplog.text
