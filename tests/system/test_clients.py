"""The main job against a spawned server, by clients that others wrote: each has to see the same."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastmcp import Client as FastMcpClient
from fastmcp.client.transports import StdioTransport
from jsonschema import Draft202012Validator
from mcp.types import CallToolResult

from tests.doubles.npm import installed
from tests.system.processes import until_gone
from tests.system.spawning import command, spawned
from tests.world import APP, SCHEMA, make_settings

pytestmark = pytest.mark.anyio

TYPESCRIPT_CLIENT = Path(__file__).parents[1] / "doubles" / "mcp_client.mjs"
V1 = "@modelcontextprotocol/sdk"
V2 = "@modelcontextprotocol/client"
TYPESCRIPT = {
    f"{V1}@1.32.2": ({"client": f"{V1}/client/index.js", "stdio": f"{V1}/client/stdio.js", "legacy": True}, {}),
    f"{V2}@2.4.0": (
        {"client": V2, "stdio": f"{V2}/stdio", "legacy": False},
        {"versionNegotiation": {"mode": {"pin": "2026-07-28"}}},
    ),
}
CHANGES = [{"path": path, "content": text} for path, text in APP.items()]
NOTE = {"text": "from a client", "rank": 7}
RESOURCE = "convex://files/convex/schema.ts"
PROMPT = "give_the_app_a_backend"
JOB = {"changes": CHANGES, "note": NOTE, "resource": RESOURCE, "prompt": PROMPT}

Json = dict[str, Any]
OnProgress = Callable[[float, float | None, str | None], Awaitable[None]]


@pytest.mark.parametrize("package", TYPESCRIPT)
async def test_the_typescript_sdk_does_the_main_job(tmp_path, package):
    settings = make_settings(tmp_path)
    sdk, options = TYPESCRIPT[package]
    program, *args = command(settings)
    given = {"sdk": sdk, "options": options, "server": {"command": program, "args": args}, "job": JOB}

    with anyio.fail_after(60):
        done = await anyio.run_process(
            ["node", str(TYPESCRIPT_CLIENT)], cwd=installed(package), input=json.dumps(given).encode(), check=False
        )

    assert (0, b"") == (done.returncode, done.stderr)
    check(json.loads(done.stdout))
    await until_gone(tmp_path)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_python_sdk_does_the_main_job(tmp_path, mode):
    async with spawned(make_settings(tmp_path), mode=mode) as world:
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
    program, *args = command(make_settings(tmp_path))
    async with FastMcpClient(StdioTransport(program, args)) as client:

        async def call(tool: str, arguments: Json, on_progress: OnProgress) -> Any:
            return await client.call_tool(tool, arguments, progress_handler=on_progress, raise_on_error=False)

        seen = await do_the_main_job(call)
        seen["tools"] = [tool.model_dump(by_alias=True) for tool in await client.list_tools()]
        seen["resource"] = (await client.read_resource(RESOURCE))[0].text
        seen["prompt"] = (await client.get_prompt(PROMPT)).messages[0].content.text

    check(seen)


async def do_the_main_job(call: Callable[[str, Json, OnProgress], Awaitable[Any]]) -> Json:
    """Return what `mcp_client.mjs` returns, but for what a client reads without a call."""
    seen: Json = {"progress": []}

    async def on_progress(done: float, total: float | None, doing: str | None) -> None:
        seen["progress"].append([done, total, doing])

    async def said(tool: str, **arguments: Any) -> Json:
        return (await call(tool, arguments, on_progress)).structured_content

    seen["written"] = (await said("write_files", changes=CHANGES))["changes"]
    seen["pushed"] = (await said("push"))["outcome"]
    await said("run_function", name="notes:add", args=NOTE)
    seen["ran"] = (await said("run_function", name="notes:top"))["value"]
    seen["rows"] = (await said("read_table", table="notes"))["documents"]
    refused = await call("read_table", {"table": "nots"}, on_progress)
    seen["refused"] = [refused.is_error, refused.structured_content["error"]["code"]]
    return seen


def check(seen: Json) -> None:
    """Hold what a client has seen to what is so."""
    assert {"write_files", "push", "run_function", "read_table"} <= {tool["name"] for tool in seen["tools"]}
    for tool in seen["tools"]:
        for schema in (tool["inputSchema"], tool["outputSchema"]):
            Draft202012Validator.check_schema(schema)
            assert "object" == schema["type"]
    assert list(APP) == [change["path"] for change in seen["written"]]
    assert [*enumerate(("bundling", "starting", "type check", "schema", "finishing", "done"), 1)] == [
        (done, doing) for done, _, doing in seen["progress"]
    ]
    assert "pushed" == seen["pushed"]
    assert NOTE.items() <= seen["ran"][0].items()
    assert seen["ran"] == seen["rows"]
    assert SCHEMA == seen["resource"]
    assert seen["prompt"].startswith("# ")
    assert [True, "not_found"] == seen["refused"]
