"""The hosted shape over real HTTP on loopback: two principals at once, in both protocol eras."""

from __future__ import annotations

import json

import anyio
import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from tests.doubles.hosting import DISCOVER, HEADERS, INITIALIZE, hosted, hosted_settings, tokens_file

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def host(tmp_path_factory, anyio_backend):
    """A server that knows three people by fixed tokens, two of whom have a workspace each."""
    folder = tmp_path_factory.mktemp("hosted")
    file, tokens = tokens_file(folder, "alice", "bob", "carol")
    async with hosted(hosted_settings(folder, tokens_file=str(file), armed_pushes="false"), tokens) as running:
        for name in ("alice", "bob"):
            running.furnish(f"tokens-file {name}")
        yield running


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_two_principals_do_the_main_job_at_once_and_never_see_one_another(host, mode):
    handles: dict[str, dict[str, str]] = {}

    async def work(name: str) -> None:
        async with host.client(host.tokens[name], mode=mode) as world:
            await world.hold({"convex/whose.ts": f"// {name}\n"})
            pushed = await world.content("push")
            assert "pushed" == pushed["outcome"]
            for rank in range(2):
                note = {"text": f"of {name} in {mode}", "rank": rank}
                await world.content("run_function", name="notes:add", args=note)
            seen = {document["text"] for document in (await world.content("read_table", table="notes"))["documents"]}
            assert note["text"] in seen
            assert all(text.startswith(f"of {name} ") for text in seen)
            assert f"// {name}\n" == (await world.content("read_file", path="convex/whose.ts"))["content"]
            events = (await world.client.read_resource("convex://audit")).contents[0].text
            assert "push" in events
            cursor = (await world.content("read_table", table="notes", limit=1))["cursor"]
            handles[name] = {"push": pushed["id"], "snapshot": pushed["snapshot"], "cursor": cursor}

    with anyio.fail_after(240):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work, "alice")
            tasks.start_soon(work, "bob")
    for name in ("bob", "carol"):
        async with host.client(host.tokens[name], mode=mode) as world:
            for kind, handle in handles["alice"].items():
                for attempt in ATTEMPTS[kind]:
                    assert await answered(world, attempt, handle[::-1]) == await answered(world, attempt, handle), kind
    async with host.client(host.tokens["carol"], mode=mode) as world:
        assert [] == (await world.content("list_files"))["files"]
    async with host.client(host.tokens["alice"], mode=mode) as world:
        assert "// alice\n" == (await world.content("read_file", path="convex/whose.ts"))["content"]
        own = handles["alice"]["cursor"]
        assert (await world.content("read_table", table="notes", limit=1, cursor=own))["documents"]


ATTEMPTS = {
    "push": [lambda world, handle: world.client.read_resource(f"convex://pushes/{handle}")],
    "snapshot": [
        lambda world, handle: world.client.read_resource(f"convex://snapshots/{handle}"),
        lambda world, handle: world.call("restore_files", snapshot=handle),
    ],
    "cursor": [lambda world, handle: world.call("read_table", table="notes", limit=1, cursor=handle)],
}
"""Where a handle may be brought, by what it is a handle of."""


async def answered(world, attempt, handle: str) -> str:
    """Return how an attempt with *handle* is refused, as if it were no particular one."""
    try:
        answer = await attempt(world, handle)
    except MCPError as exc:
        return exc.error.model_dump_json().replace(handle, "that")
    assert answer.is_error, answer
    return answer.model_dump_json().replace(handle, "that")


@pytest.mark.parametrize("name", ["", "?workspace=other"])
async def test_without_tokens_a_server_on_loopback_takes_everybody_for_the_same_person(tmp_path, name):
    async with hosted(hosted_settings(tmp_path)) as running:
        for mode in ("auto", "legacy"):
            async with running.client(None, mode=mode, query=name) as world:
                await world.write({f"convex/{mode}.ts": "export {};\n"})
                files = (await world.content("list_files"))["files"]
        assert {"convex/auto.ts", "convex/legacy.ts"} == {entry["path"] for entry in files}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_who_follows_something_is_told_when_the_server_ends_and_does_not_hold_it_up(tmp_path, mode):
    with anyio.fail_after(60):
        async with (
            hosted(hosted_settings(tmp_path, drain_s="600")) as running,
            running.http(None, Accept=HEADERS["Accept"]) as http,
        ):
            stream = await http.send(await held_open(running, http, mode), stream=True)
            assert 200 == stream.status_code
            running.stopping.set()
            said = [line async for line in stream.aiter_lines()]  # which fails where the connection is broken off

    if mode == "auto":
        last = json.loads(next(line for line in reversed(said) if line.startswith("data: ")).removeprefix("data: "))
        assert ("the-stream", True) == (last["id"], "result" in last), said


async def held_open(host, http, mode: str) -> httpx2.Request:
    """Return what opens a stream that says what has changed."""
    if mode == "auto":
        listening = {**DISCOVER, "id": "the-stream", "method": "subscriptions/listen"}
        listening["params"] = {**DISCOVER["params"], "notifications": {"toolsListChanged": True}}
        headers = {**HEADERS, "Mcp-Method": "subscriptions/listen"}
        return http.build_request("POST", host.url, json=listening, headers=headers)
    begun = await http.post(host.url, json=INITIALIZE)
    session = {"Mcp-Session-Id": begun.headers["mcp-session-id"], "Accept": "text/event-stream"}
    return http.build_request("GET", host.url, headers=session)
