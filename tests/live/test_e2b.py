"""The same at E2B itself, with a real key: `E2B_API_KEY=… pytest -m live tests/live`. Costs a few cents."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
from mcp import Client

from mcp_convex.settings import load
from tests.doubles.office import free_port
from tests.world import APP, NOTES, World

pytestmark = [pytest.mark.anyio, pytest.mark.live]


@pytest.fixture(scope="module")
async def world(tmp_path_factory, anyio_backend) -> AsyncIterator[World]:
    """A server whose workspace lives at E2B, in the account of E2B_API_KEY, which has our template."""
    folder = tmp_path_factory.mktemp("live")
    (folder / "app").mkdir()
    flags = {"workspace": folder / "app", "data_dir": folder / "data", "pages_port": free_port(), "sandbox": "e2b"}
    settings = load({name: str(flag) for name, flag in flags.items()}, {"E2B_API_KEY": os.environ["E2B_API_KEY"]})
    async with Client(World.server(settings)) as client:
        yield World(client=client, settings=settings, era="auto")


async def test_a_push_goes_live_through_the_boxs_own_stream(world) -> None:
    await world.write(APP)
    pushed = await world.content("push")
    assert ("pushed", "vm") == (pushed["outcome"], pushed["isolation"]), pushed
    await world.content("run_function", name="notes:add", args={"text": "first", "rank": 1})


async def test_a_type_error_is_located(world) -> None:
    await world.write({"convex/notes.ts": NOTES.replace("args.text", "args.txet")})
    pushed = (await world.call("push")).structured_content
    assert ("convex/notes.ts", "TS2339") == (pushed["diagnostics"][0]["file"], pushed["diagnostics"][0]["code"])


async def test_files_are_there_for_the_next_push(world) -> None:
    await world.write(APP)
    assert "convex/notes.ts" in [entry["path"] for entry in (await world.content("list_files"))["files"]]
    assert "pushed" == (await world.content("push"))["outcome"]
