"""The main job against a hosted server, by clients that others wrote, each with its principal's token."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from fastmcp import Client as FastMcpClient
from fastmcp.client.transports import StreamableHttpTransport

from tests.doubles.hosting import hosted, hosted_settings, tokens_file
from tests.doubles.npm import installed
from tests.system.main_job import CHANGES, JOB, NOTE, RESOURCE, Json, check, do_the_main_job_by_fastmcp
from tests.system.test_clients import TYPESCRIPT_CLIENT, V1, V2

pytestmark = pytest.mark.anyio

TRANSPORT = "StreamableHTTPClientTransport"
TYPESCRIPT = {
    f"{V1}@1.32.2": (
        {"client": f"{V1}/client/index.js", "transport": [f"{V1}/client/streamableHttp.js", TRANSPORT], "legacy": True},
        {},
    ),
    f"{V2}@2.4.0": (
        {"client": V2, "transport": [V2, TRANSPORT], "legacy": False},
        {"versionNegotiation": {"mode": {"pin": "2026-07-28"}}},
    ),
}
INSPECTOR = "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
NAMES = ("v1", "v2", "fastmcp", "inspector")


@pytest.fixture(scope="module")
async def host(tmp_path_factory, anyio_backend):
    folder = tmp_path_factory.mktemp("clients")
    file, tokens = tokens_file(folder, *NAMES)
    async with hosted(hosted_settings(folder, tokens_file=str(file), armed_pushes="false"), tokens) as running:
        for name in NAMES:
            running.furnish(f"tokens-file {name}")
        yield running


@pytest.mark.parametrize(("package", "name"), [*zip(TYPESCRIPT, NAMES, strict=False)])
async def test_the_typescript_sdk_does_the_main_job_over_http(host, package, name):
    sdk, options = TYPESCRIPT[package]
    bearer = {"requestInit": {"headers": {"Authorization": f"Bearer {host.tokens[name]}"}}}
    given = {"sdk": sdk, "options": options, "server": [host.url, bearer], "job": JOB}

    folder = await anyio.to_thread.run_sync(installed, package)
    with anyio.fail_after(60):
        done = await anyio.run_process(
            ["node", str(TYPESCRIPT_CLIENT)], cwd=folder, input=json.dumps(given).encode(), check=False
        )

    assert (0, b"") == (done.returncode, done.stderr)
    check(json.loads(done.stdout))


async def test_fastmcp_does_the_main_job_over_http(host):
    async with FastMcpClient(StreamableHttpTransport(host.url, auth=host.tokens["fastmcp"])) as client:
        check(await do_the_main_job_by_fastmcp(client))


async def test_the_inspector_does_the_main_job_over_http_and_finds_no_fault_with_the_schemas(host, tmp_path):
    ask = await inspecting(host, tmp_path)

    tools = (await ask("tools/list", "--strict"))["tools"]
    written = await ask("tools/call", "--tool-name", "write_files", "--tool-arg", f"changes={json.dumps(CHANGES)}")
    pushed = await ask("tools/call", "--tool-name", "push")
    added = ["--tool-arg", "name=notes:add", f"args={json.dumps(NOTE)}"]
    await ask("tools/call", "--tool-name", "run_function", *added)
    rows = await ask("tools/call", "--tool-name", "read_table", "--tool-arg", "table=notes")
    source = await ask("resources/read", "--uri", RESOURCE)

    assert {"push", "dev_server"} <= {tool["name"] for tool in tools}
    assert len(CHANGES) == len(written["structuredContent"]["changes"])
    assert "pushed" == pushed["structuredContent"]["outcome"]
    assert NOTE.items() <= rows["structuredContent"]["documents"][0].items()
    assert CHANGES[0]["content"] == source["contents"][0]["text"]


async def inspecting(host, home) -> Callable[..., Any]:
    """Return what calls the Inspector's command line, and returns what it prints."""
    folder = await anyio.to_thread.run_sync(installed, "@modelcontextprotocol/inspector@2.12.0")

    async def ask(method: str, *more: str) -> Json:
        bearer = f"Authorization: Bearer {host.tokens['inspector']}"
        argv = ["node", str(folder / INSPECTOR), "--cli", host.url, "--method", method, "--header", bearer, *more]
        with anyio.fail_after(60):
            done = await anyio.run_process(argv, check=False, env={**os.environ, "HOME": str(home)})
        assert 0 == done.returncode, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    return ask
