"""What the audit tells of a call that changes something: who may read it, what it came to, and never what it said."""

from __future__ import annotations

import json

import anyio
import pytest
from mcp import Client
from mcp.types import ElicitResult

from mcp_convex.boundary.spec import Effect
from mcp_convex.tools import TOOLSETS
from tests.world import APP, World, make_settings

pytestmark = pytest.mark.anyio

CHANGING = {spec.name for specs in TOOLSETS.values() for spec in specs if spec.effect is not Effect.READS}


async def events(world):
    (content,) = (await world.client.read_resource("convex://audit")).contents
    return json.loads(content.text)["events"]


async def test_each_call_that_changes_something_is_kept_with_what_it_came_to(world):
    await world.hold({})
    before = len(await events(world))
    await world.content("write_files", changes=[{"path": "convex/notes.ts", "content": APP["convex/notes.ts"]}])
    await world.code("write_files", changes=[{"path": "../c4n4ry.ts", "content": "c4n4ry"}])
    await world.code("write_files", surprise="c4n4ry")
    await world.content("list_files")
    await world.content("push", preview=True)

    kept = (await events(world))[:4]
    assert [
        ("push", "previewed"),
        ("write_files", "invalid_arguments"),
        ("write_files", "path_refused"),
        ("write_files", "ok"),
    ] == [(event["tool"], event["outcome"]) for event in kept]
    assert len(await events(world)) == min(before + 4, 100)
    assert 0 < kept[0]["duration_s"] < 60
    assert "c4n4ry" not in str(kept)


async def test_alike_calls_have_alike_digests_and_no_others(world):
    for name in ("A", "A", "B"):
        await world.call("unset_env_vars", names=[name])

    third, second, first = (event["arguments"] for event in (await events(world))[:3])
    assert first == second != third


async def test_a_call_that_the_client_gives_up_is_kept_too(tmp_path):
    asked = anyio.Event()

    async def dither(context, params):
        asked.set()
        await anyio.sleep_forever()

    settings = make_settings(tmp_path)
    async with Client(World.server(settings), mode="legacy", elicitation_callback=dither) as client:
        world = World(client=client, settings=settings, era="legacy")
        await world.content("list_files")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.call, "connect")
            await asked.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(60):
            while not (kept := await events(world)):
                await anyio.lowlevel.checkpoint()

    assert ("connect", "cancelled") == (kept[0]["tool"], kept[0]["outcome"])


async def test_who_is_asked_to_open_a_page_is_kept_as_asked(tmp_path):
    async def decline(context, params):
        return ElicitResult(action="decline")

    settings = make_settings(tmp_path)
    async with Client(World.server(settings), elicitation_callback=decline) as client:
        world = World(client=client, settings=settings, era="auto")
        await world.code("connect")

        assert ["declined", "asked"] == [event["outcome"] for event in await events(world)]


def test_each_tool_declares_whether_it_changes_something():
    assert not CHANGING & {"list_files", "read_table", "get_connection"}
    assert {"push", "connect", "disconnect", "set_env_vars", "run_function"} <= CHANGING
