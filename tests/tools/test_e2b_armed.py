"""The push that finds a CLI waiting in a sandbox at E2B; that it is as true as the plain one, `test_e2b` shows."""

from __future__ import annotations

from contextlib import suppress

import anyio
import psutil
import pytest

from tests.doubles.e2b.cloud import E2BCloud
from tests.doubles.e2b.opening import loopback_e2b
from tests.e2b_world import opened_e2b
from tests.world import APP, NOTES

pytestmark = pytest.mark.anyio


async def test_a_cli_that_waits_in_the_sandbox_serves_the_next_push_and_knows_no_key(tmp_path) -> None:
    async with loopback_e2b(tmp_path / "boxes") as cloud:
        async with opened_e2b(tmp_path, cloud) as world:
            await world.write(APP)
            assert "pushed" == (await world.content("push"))["outcome"]
            waited = await one_that_waits(cloud)
            told = " ".join((*waited.cmdline(), *waited.environ().values()))
            assert "gate|" in told
            assert next(world.settings.data_dir.glob("embedded/*/*key*")).read_text() not in told
            await world.write({"convex/notes.ts": NOTES.replace("take(3)", "take(4)")})
            assert "pushed" == (await world.content("push"))["outcome"]
            assert not waited.is_running()
            last = await one_that_waits(cloud)
        assert not last.is_running()


async def one_that_waits(cloud: E2BCloud) -> psutil.Process:
    """Return the CLI that is in a sandbox of *cloud*."""
    with anyio.fail_after(120):
        while not (found := await anyio.to_thread.run_sync(clis, commands_in(cloud))):
            pass  # the thread leaves this loop to the server
    return found[0]


def commands_in(cloud: E2BCloud) -> list[int]:
    return [pid for box in cloud.alive for pid in box.commands]


def clis(commands: list[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for pid in commands:
        with suppress(psutil.Error):
            found += [one for one in psutil.Process(pid).children(recursive=True) if is_cli(one)]
    return found


def is_cli(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        program, *arguments = process.cmdline() or [""]
        return program.endswith("node") and any("cli.bundle" in argument for argument in arguments)
    return False
