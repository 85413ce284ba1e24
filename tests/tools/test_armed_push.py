"""The push that finds a CLI loaded and waiting: as true as the plain one (see `world`), and leaving nothing behind."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import psutil
import pytest
from mcp import Client

from tests.world import NOTES, World, make_settings

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(folder, **flags):
    settings = make_settings(folder, **flags)
    async with Client(World.server(settings)) as client:
        yield World(client=client, settings=settings, era="auto")


def clis(world: World) -> list[psutil.Process]:
    """Return the programs below this one that are a Convex CLI of *world*'s workspace; other servers have theirs."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            program, *arguments = process.cmdline() or [""]
            bundles = [argument for argument in arguments if argument.endswith("cli.bundle.cjs")]
            if program.endswith("node") and any(Path(at).is_relative_to(world.settings.workspace) for at in bundles):
                found.append(process)
    return found


async def one_that_waits(world: World) -> psutil.Process:
    with anyio.fail_after(60):
        while not (found := clis(world)):
            await anyio.lowlevel.checkpoint()
    return found[0]


async def test_each_push_is_served_by_the_cli_that_waited_and_another_waits_after_it(tmp_path):
    async with opened(tmp_path) as world:
        await world.hold({})
        for number in range(3):
            waited = await one_that_waits(world)
            await world.write({"convex/notes.ts": NOTES.replace("take(3)", f"take({number + 4})")})
            assert "pushed" == (await world.content("push"))["outcome"]
            assert not waited.is_running()
        last = await one_that_waits(world)

    assert not last.is_running()


async def test_an_operator_can_do_without(tmp_path):
    async with opened(tmp_path, armed_pushes=False) as world:
        await world.hold({})
        assert "pushed" == (await world.content("push"))["outcome"]
        assert [] == clis(world)


async def test_a_cli_that_waits_knows_no_key_but_its_placeholder(tmp_path):
    async with opened(tmp_path) as world:
        await world.hold({})
        assert "pushed" == (await world.content("push"))["outcome"]
        waited = await one_that_waits(world)
        told = " ".join((*waited.cmdline(), *waited.environ().values()))
    (key,) = [path.read_text().strip() for path in world.settings.data_dir.rglob("admin-key")]

    assert "gate|" in told
    assert key not in told
