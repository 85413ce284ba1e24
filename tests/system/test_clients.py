"""The main job against a spawned server, by clients that others wrote: each has to see the same."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from fastmcp import Client as FastMcpClient
from fastmcp.client.transports import StdioTransport
from mcp.types import CallToolResult

from tests.doubles.npm import installed
from tests.system.main_job import (
    JOB,
    PROMPT,
    RESOURCE,
    Json,
    OnProgress,
    check,
    do_the_main_job,
    do_the_main_job_by_fastmcp,
)
from tests.system.processes import until_gone
from tests.system.spawning import command, spawned
from tests.world import make_settings

pytestmark = pytest.mark.anyio

TYPESCRIPT_CLIENT = Path(__file__).parents[1] / "doubles" / "mcp_client.mjs"
V1 = "@modelcontextprotocol/sdk"
V2 = "@modelcontextprotocol/client"
TYPESCRIPT = {
    f"{V1}@1.32.2": (
        {
            "client": f"{V1}/client/index.js",
            "transport": [f"{V1}/client/stdio.js", "StdioClientTransport"],
            "legacy": True,
        },
        {},
    ),
    f"{V2}@2.4.0": (
        {"client": V2, "transport": [f"{V2}/stdio", "StdioClientTransport"], "legacy": False},
        {"versionNegotiation": {"mode": {"pin": "2026-07-28"}}},
    ),
}


@pytest.mark.parametrize("package", TYPESCRIPT)
async def test_the_typescript_sdk_does_the_main_job(tmp_path, package):
    settings = make_settings(tmp_path, armed_pushes=False)
    sdk, options = TYPESCRIPT[package]
    program, *args = command(settings)
    given = {"sdk": sdk, "options": options, "server": [{"command": program, "args": args}], "job": JOB}

    with anyio.fail_after(60):
        done = await anyio.run_process(
            ["node", str(TYPESCRIPT_CLIENT)], cwd=installed(package), input=json.dumps(given).encode(), check=False
        )

    assert (0, b"") == (done.returncode, done.stderr)
    check(json.loads(done.stdout))
    await until_gone(tmp_path)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_python_sdk_does_the_main_job(tmp_path, mode):
    async with spawned(make_settings(tmp_path, armed_pushes=False), mode=mode) as world:
        client = world.client

        async def call(tool: str, arguments: Json, on_progress: OnProgress) -> CallToolResult:
            return await client.call_tool(tool, arguments, progress_callback=on_progress)

        seen = await do_the_main_job(call)
        seen["tools"] = [tool.model_dump(by_alias=True) for tool in (await client.list_tools()).tools]
        seen["resource"] = (await client.read_resource(RESOURCE)).contents[0].text
        seen["prompt"] = (await client.get_prompt(PROMPT)).messages[0].content.text

    check(seen)
    await until_gone(tmp_path)


async def test_fastmcp_does_the_main_job(tmp_path):
    program, *args = command(make_settings(tmp_path, armed_pushes=False))
    async with FastMcpClient(StdioTransport(program, args)) as client:
        check(await do_the_main_job_by_fastmcp(client))
