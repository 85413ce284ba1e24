"""The main job, by whatever client, and what each has to see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastmcp import Client as FastMcpClient
from jsonschema import Draft202012Validator

from tests.world import APP, SCHEMA

CHANGES = [{"path": path, "content": text} for path, text in APP.items()]
NOTE = {"text": "from a client", "rank": 7}
RESOURCE = "convex://files/convex/schema.ts"
PROMPT = "give_the_app_a_backend"
JOB = {"changes": CHANGES, "note": NOTE, "resource": RESOURCE, "prompt": PROMPT}

Json = dict[str, Any]
OnProgress = Callable[[float, float | None, str | None], Awaitable[None]]


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


async def do_the_main_job_by_fastmcp(client: FastMcpClient[Any]) -> Json:
    """Do the main job with FastMCP's client, and return what it has seen."""

    async def call(tool: str, arguments: Json, on_progress: OnProgress) -> Any:
        return await client.call_tool(tool, arguments, progress_handler=on_progress, raise_on_error=False)

    seen = await do_the_main_job(call)
    seen["tools"] = [tool.model_dump(by_alias=True) for tool in await client.list_tools()]
    seen["resource"] = (await client.read_resource(RESOURCE))[0].text
    seen["prompt"] = (await client.get_prompt(PROMPT)).messages[0].content.text
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
