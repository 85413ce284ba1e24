"""A server that is killed, ended, or not alone: the workspace stays whole, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from mcp import MCPError

from mcp_convex.settings import Settings, load
from tests.doubles.deployment import FakeDeployment, KeepsSilent, fake_deployment
from tests.system.conftest import link
from tests.system.processes import until_gone
from tests.system.spawning import LEASE_S, command, server_of, spawned
from tests.world import APP, World, make_settings

pytestmark = pytest.mark.anyio


@pytest.fixture
async def deployment() -> AsyncIterator[FakeDeployment]:
    async with fake_deployment() as deployment:
        yield deployment


def files(settings: Settings) -> dict[str, bytes]:
    """Return every file of the workspace but for packages."""
    found = (path for path in settings.workspace.rglob("*") if "node_modules" not in path.parts)
    return {str(path.relative_to(settings.workspace)): path.read_bytes() for path in found if path.is_file()}


async def push_to_the_end(world: World, *stages: anyio.Event) -> None:
    """Push to a server that does not live to answer; set the next of *stages* at each stage it comes to."""
    left = iter(stages)

    async def on_progress(done: float, total: float | None, doing: str | None) -> None:
        if stage := next(left, None):
            stage.set()

    with pytest.raises(MCPError, match="Connection closed"):
        await world.client.call_tool("push", {}, progress_callback=on_progress)


async def push_when_free(world: World) -> dict[str, Any]:
    """Push, again for as long as a dead server's lease is in the way."""
    with anyio.fail_after(LEASE_S + 60):
        while True:
            pushed = (await world.call("push")).structured_content
            if pushed.get("error", {}).get("code") != "push_under_way":
                return pushed
            await anyio.sleep(0.1)


@pytest.mark.parametrize(
    ("step", "isolation", "armed"),
    [
        ("get_canonical_urls", "none", False),
        ("start_push", "landlock", True),
        ("wait_for_schema", "bwrap", True),
        ("finish_push", "strict", False),
    ],
)
async def test_a_server_killed_in_a_push_leaves_nothing_behind_and_the_next_one_pushes(
    tmp_path, deployment, step, isolation, armed
):
    settings = make_settings(tmp_path, isolation=isolation, armed_pushes=armed)
    await link(settings, deployment)
    deployment.mend()
    deployment.script(step, KeepsSilent())

    async with spawned(settings) as world:
        await world.write(APP)
        before = files(settings)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push_to_the_end, world)
            with anyio.fail_after(60):
                await deployment.until_asked(step)
            os.kill(server_of(settings), signal.SIGKILL)
            await until_gone(tmp_path)

    assert before == files(settings)
    async with spawned(settings) as world:
        assert "pushed" == (await push_when_free(world))["outcome"]
    assert 1 == deployment.pushes
    await until_gone(tmp_path)


async def test_a_server_killed_while_it_installs_is_made_up_for_by_the_next(tmp_path, deployment):
    workspace = tmp_path / "app"
    workspace.mkdir()
    settings = load({"workspace": str(workspace), "data_dir": str(tmp_path / "data")}, {})
    await link(settings, deployment)

    async with spawned(settings) as world:
        await world.write(APP)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push_to_the_end, world)
            with anyio.fail_after(60):
                while not (workspace / "node_modules").exists():  # noqa: ASYNC110 - npm sends no events
                    await anyio.sleep(0.01)
            os.kill(server_of(settings), signal.SIGKILL)
            await until_gone(tmp_path)

    async with spawned(settings) as world:
        assert "pushed" == (await push_when_free(world))["outcome"]


async def test_a_server_killed_with_its_embedded_deployment_loses_no_row(tmp_path):
    settings = make_settings(tmp_path)
    async with spawned(settings) as world:
        await world.write(APP)
        assert "pushed" == (await world.content("push"))["outcome"]
        await world.content("run_function", name="notes:add", args={"text": "kept", "rank": 1})
        stages = [anyio.Event() for _ in range(3)]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(push_to_the_end, world, *stages)
            with anyio.fail_after(60):
                await stages[-1].wait()
            os.kill(server_of(settings), signal.SIGKILL)
            await until_gone(tmp_path)

    async with spawned(settings) as world:
        assert "kept" == (await world.content("read_table", table="notes"))["documents"][0]["text"]
        assert "pushed" == (await push_when_free(world))["outcome"]
    await until_gone(tmp_path)


async def test_of_two_servers_on_one_workspace_one_pushes_and_both_see_its_deployment(tmp_path, deployment):
    settings = make_settings(tmp_path)
    async with spawned(settings) as one, spawned(settings) as other:
        await one.write(APP)
        assert "pushed" == (await one.content("push"))["outcome"]
        await other.content("run_function", name="notes:add", args={"text": "from the other", "rank": 1})
        rows = [(await world.content("read_table", table="notes"))["documents"] for world in (one, other)]
        assert rows[0] == rows[1] != []

        await link(settings, deployment)
        deployment.script("start_push", KeepsSilent())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.call, "push")
            with anyio.fail_after(60):
                await deployment.until_asked("start_push")
            assert "push_under_way" == await other.code("push")
            assert "push_under_way" == await other.code("check_files")
            deployment.close()


async def test_a_server_that_is_asked_to_end_does_so_at_once(tmp_path):
    process = await started(make_settings(tmp_path))
    with anyio.fail_after(60):
        await process.stdin.send(HANDSHAKE)
        assert b'"serverInfo"' in await process.stdout.receive()

    process.send_signal(signal.SIGTERM)

    assert (130, b"") == await ended(process)


async def test_a_push_that_is_asked_to_end_takes_everything_along(tmp_path, deployment):
    settings = await ready_to_push(tmp_path, deployment)
    deployment.script("start_push", KeepsSilent())
    process = await started(settings, "push")
    with anyio.fail_after(60):
        await deployment.until_asked("start_push")

    process.send_signal(signal.SIGTERM)

    assert (130, b"") == await ended(process)
    await until_gone(tmp_path)


@pytest.mark.parametrize("by", ["hanging up", "SIGTERM"])
async def test_a_server_whose_client_goes_in_the_midst_of_a_push_takes_everything_along(tmp_path, deployment, by):
    settings = await ready_to_push(tmp_path, deployment)
    deployment.script("start_push", KeepsSilent())
    process = await started(settings)
    with anyio.fail_after(60):
        await process.stdin.send(HANDSHAKE + PUSH)
        await deployment.until_asked("start_push")

    if by == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    else:
        await process.stdin.aclose()

    code, said = await ended(process)
    assert (130 if by == "SIGTERM" else 0, b"") == (code, said)
    await until_gone(tmp_path)


async def ready_to_push(folder: Path, deployment: FakeDeployment) -> Settings:
    settings = make_settings(folder)
    for path, text in APP.items():
        (settings.workspace / path).write_text(text)
    await link(settings, deployment)
    return settings


async def started(settings: Settings, *words: str) -> Process:
    return await anyio.open_process(command(settings, *words), stdin=subprocess.PIPE, stderr=subprocess.PIPE)


async def ended(process: Process) -> tuple[int, bytes]:
    """Return the exit code and what was said on standard error; it has to end by itself."""
    with anyio.fail_after(60):
        code = await process.wait()
    said = b"".join([chunk async for chunk in process.stderr])
    await process.aclose()
    return code, said


HANDSHAKE = (
    b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    b'"clientInfo":{"name":"by hand","version":"1"}}}\n'
)
PUSH = (
    b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
    b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"push","arguments":{}}}\n'
)
