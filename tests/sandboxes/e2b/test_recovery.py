"""A sandbox that vanishes, pauses, forgets or was left over costs a pause, and never the work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from e2b import GuestUnresponsiveException

from mcp_convex.domain.errors import SandboxLost
from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Command, Ended, Sandbox
from tests.doubles.e2b.box import HOME, Box
from tests.doubles.e2b.cloud import E2BCloud, Fault
from tests.doubles.e2b.opening import open_sandbox
from tests.sandboxes.conftest import ignore, no_progress

pytestmark = pytest.mark.anyio

SCHEMA = FilePath("convex/schema.ts")
MADE = FilePath("convex/made.ts")
CREATE, WRITE = "POST /v2/sandboxes", "POST /files"


@pytest.fixture
async def sandbox(request, cloud, store) -> AsyncIterator[Sandbox]:
    """A sandbox that is ready, with a schema; nothing of it has been counted."""
    sandbox = open_sandbox(cloud, store, request.node.name)
    await sandbox.write({SCHEMA: b"one"})
    await sandbox.ensure(no_progress)
    cloud.requests.clear()
    yield sandbox
    await sandbox.close()
    cloud.faults.clear()
    for box in cloud.alive:
        await box.end()


def only(cloud: E2BCloud) -> Box:
    [box] = cloud.alive
    return box


def inside(cloud: E2BCloud, path: str) -> Path:
    return only(cloud).home / "app" / path


async def run(sandbox: Sandbox, *argv: str, deadline_s: float = 30) -> Ended:
    return await sandbox.exec(Command(argv=argv, deadline_s=deadline_s), on_output=ignore)


async def test_a_vanished_sandbox_with_200_files_costs_one_create_and_one_bulk_write(sandbox, cloud) -> None:
    await sandbox.write({FilePath(f"convex/f{number}.ts"): b"x" * 1000 for number in range(200)})
    await only(cloud).end()
    with pytest.raises(SandboxLost):
        await sandbox.ensure(no_progress)
    cloud.requests.clear()
    await sandbox.ensure(no_progress)
    assert (1, 1) == (cloud.count(CREATE), cloud.count(WRITE))
    assert 202 == len([*inside(cloud, "convex").iterdir()])
    assert "another was started" in " ".join(sandbox.take_notes())
    assert () == sandbox.take_notes()


async def test_files_are_read_and_written_while_there_is_no_sandbox_and_reach_the_next_one(sandbox, cloud) -> None:
    await only(cloud).end()
    await sandbox.write({SCHEMA: b"two", MADE: b"made"})
    assert b"two" == await sandbox.read(SCHEMA)
    assert MADE in [entry.path for entry in await sandbox.list()]
    assert 0 == cloud.count(CREATE)
    await sandbox.ensure(no_progress)
    assert "two" == inside(cloud, SCHEMA).read_text()
    assert 1 == cloud.count(CREATE)


async def test_a_sandbox_that_dies_under_a_command_is_lost_and_the_next_one_works(sandbox, cloud) -> None:
    cloud.faults.append(Fault("SendInput", kills=True, skip=1))
    with pytest.raises(SandboxLost):
        await run(sandbox, "sleep", "30", deadline_s=0.5)
    await sandbox.ensure(no_progress)
    assert "one" == (await run(sandbox, "cat", SCHEMA)).output


async def test_a_command_whose_stream_is_cut_is_ended_before_the_next_begins(sandbox, cloud) -> None:
    cloud.faults.append(Fault("/process.Process/Start", cut_after=2))
    with pytest.raises(SandboxLost):
        await run(sandbox, "/bin/sh", "-c", "echo first; exec sleep 4712.5")
    await sandbox.ensure(no_progress)
    assert "4712" not in (await run(sandbox, "/bin/sh", "-c", "ps -e -o args")).output
    assert 0 == cloud.count(CREATE)
    assert ["The sandbox could not be reached for a while; the work went on in it."] == list(sandbox.take_notes())


@pytest.mark.parametrize("befell", ["paused", "gone"])
async def test_a_command_that_waited_in_a_sandbox_that_paused_or_vanished_is_started_anew(sandbox, cloud, befell):
    script = "const fs = require('fs'); fs.writeFileSync('../waits', String(process.pid)); setInterval(() => {}, 1000)"
    waiting = Command(argv=("node", "-e", script), deadline_s=0.5)
    assert await sandbox.arm(waiting)
    box = only(cloud)
    await (box.pause() if befell == "paused" else box.end())
    with pytest.raises(SandboxLost):
        await sandbox.exec(waiting, on_output=ignore)
    await sandbox.ensure(no_progress)
    assert (await sandbox.exec(waiting, on_output=ignore)).timed_out
    assert "waits" not in (await run(sandbox, "/bin/sh", "-c", "ps -e -o args")).output


async def test_a_command_that_waits_never_misses_a_file_while_its_sources_are_renewed(sandbox, cloud) -> None:
    script = f"""
        const fs = require("fs");
        fs.writeFileSync("../waits", "");
        let missed = 0;
        const look = (at) => {{ try {{ return fs.readFileSync(at, "utf8") }} catch {{ missed++ }} }};
        while (look("{SCHEMA}") !== "two") look("package.json");
        console.log(missed)"""
    waiting = Command(argv=("node", "-e", script), deadline_s=60)
    assert await sandbox.arm(waiting)
    with anyio.fail_after(60):
        while not (only(cloud).home / ".mcp-convex/waits").exists():
            await anyio.lowlevel.checkpoint()
    await sandbox.write({SCHEMA: b"two"})
    assert "0\n" == (await sandbox.exec(waiting, on_output=ignore)).output


async def test_a_command_is_not_started_ahead_where_it_would_take_the_last_of_the_memory(sandbox, cloud) -> None:
    box = only(cloud)
    (box.home / "small.cjs").write_text("require('os').freemem = () => 200 * 1024 * 1024;")
    box.env = {"NODE_OPTIONS": f"--require {HOME}/small.cjs"}
    command = Command(argv=("node", "-e", "setInterval(() => {}, 1000)"), deadline_s=0.5)
    await sandbox.arm(command)
    assert (await sandbox.exec(command, on_output=ignore)).timed_out  # it may be ordered before it is known not to wait
    await sandbox.arm(command)
    with anyio.fail_after(60):
        while any(" run" in started.argv[-1] for started in box.commands.values()):
            await anyio.lowlevel.checkpoint()


async def test_a_command_does_not_begin_in_a_sandbox_that_was_not_made_ready(sandbox, cloud, store, request) -> None:
    await only(cloud).end()
    assert SCHEMA in [entry.path for entry in await sandbox.list()]
    await open_sandbox(cloud, store, request.node.name).ensure(no_progress)
    with pytest.raises(SandboxLost):
        await run(sandbox, "true")
    await sandbox.ensure(no_progress)
    assert 0 == (await run(sandbox, "true")).exit_code


async def test_a_watch_outlives_its_sandbox_and_asks_for_nothing_while_nothing_changes(sandbox, cloud) -> None:
    with anyio.fail_after(60):
        async with aclosing(sandbox.watched()) as changes:
            await anext(changes)
            cloud.requests.clear()
            inside(cloud, "convex/theirs.ts").write_text("theirs")
            await anext(changes)
            assert [] == cloud.requests
            await only(cloud).end()
            await anext(changes)
            with suppress(SandboxLost):
                await sandbox.ensure(no_progress)
            await sandbox.ensure(no_progress)
            inside(cloud, "convex/again.ts").write_text("theirs")
            await anext(changes)
            assert 1 == cloud.count(CREATE)


async def test_a_paused_sandbox_is_resumed_with_what_something_else_wrote_in_it(sandbox, cloud) -> None:
    inside(cloud, "convex/theirs.ts").write_text("theirs")
    await only(cloud).pause()
    with pytest.raises(SandboxLost):
        await sandbox.ensure(no_progress)
    await sandbox.ensure(no_progress)
    assert b"theirs" == await sandbox.read(FilePath("convex/theirs.ts"))
    assert 0 == cloud.count(CREATE)


async def test_a_paused_sandbox_that_cannot_be_resumed_is_ended_and_replaced(sandbox, cloud) -> None:
    frozen = only(cloud)
    await frozen.pause()
    with pytest.raises(SandboxLost):
        await sandbox.ensure(no_progress)
    cloud.faults.append(Fault("/connect", status=409, error_code=GuestUnresponsiveException.code))
    await sandbox.ensure(no_progress)
    assert ("gone", 1) == (frozen.state, cloud.count(CREATE))
    assert "one" == inside(cloud, SCHEMA).read_text()


async def test_a_sandbox_that_lost_writes_while_it_was_paused_gets_them_again(sandbox, cloud) -> None:
    version = only(cloud).home / ".mcp-convex/version"
    before = version.read_bytes()
    await sandbox.write({SCHEMA: b"two", MADE: b"made"})
    inside(cloud, SCHEMA).write_text("one")
    inside(cloud, MADE).unlink()
    version.write_bytes(before)
    assert b"two" == await sandbox.read(SCHEMA)
    assert ("two", "made") == (inside(cloud, SCHEMA).read_text(), inside(cloud, MADE).read_text())


async def test_a_write_that_is_cut_off_half_way_is_repeated_and_never_read_back(sandbox, cloud) -> None:
    cloud.faults.append(Fault(WRITE, status=500))
    await sandbox.write({SCHEMA: b"two", MADE: None})
    assert "one" == inside(cloud, SCHEMA).read_text()
    assert b"two" == await sandbox.read(SCHEMA)
    assert "two" == inside(cloud, SCHEMA).read_text()


async def test_a_deletion_that_the_sandbox_missed_is_made_up_for(sandbox, cloud) -> None:
    await sandbox.write({MADE: b"made"})
    cloud.faults.append(Fault("/process.Process/Start", status=500))
    await sandbox.write({MADE: None})
    assert inside(cloud, MADE).exists()
    assert MADE not in [entry.path for entry in await sandbox.list()]
    assert not inside(cloud, MADE).exists()


async def test_a_new_server_adopts_the_newest_sandbox_and_ends_what_else_was_left_over(
    sandbox, cloud, store, request
) -> None:
    inside(cloud, "convex/theirs.ts").write_text("theirs")
    adopted = only(cloud)
    earlier = adopted.started_at - timedelta(minutes=1)
    stray = await cloud.create(adopted.metadata, internet=False, lifetime_s=300, started_at=earlier)
    foreign = await cloud.create({"app": "another"}, internet=False, lifetime_s=300)
    other = open_sandbox(cloud, store, request.node.name)
    assert b"theirs" == await other.read(FilePath("convex/theirs.ts"))
    assert ("running", "gone", "running") == (adopted.state, stray.state, foreign.state)
    await other.ensure(no_progress)
    assert 0 == cloud.count(CREATE)
    await foreign.end()


async def test_two_servers_on_one_workspace_see_one_anothers_writes(sandbox, cloud, store, request) -> None:
    other = open_sandbox(cloud, store, request.node.name)
    await other.write({MADE: b"by the other"})
    await sandbox.write({SCHEMA: b"two"})
    assert (b"by the other", b"two") == (await sandbox.read(MADE), await other.read(SCHEMA))
    assert ("by the other", "two") == (inside(cloud, MADE).read_text(), inside(cloud, SCHEMA).read_text())


async def test_what_another_server_arms_leaves_what_a_command_of_ours_reads(sandbox, cloud, store, request) -> None:
    other = open_sandbox(cloud, store, request.node.name)
    begun, own = anyio.Event(), only(cloud).home / ".mcp-convex"
    reading = f"cat {SCHEMA}; while [ ! -e {HOME}/go ]; do sleep 0.01; done; cat {SCHEMA}"
    waiting = "require('fs').writeFileSync('../waits', ''); setInterval(() => {}, 1000)"
    said: list[str] = []

    async def read_twice() -> None:
        command = Command(argv=("/bin/sh", "-c", reading), deadline_s=60)
        said.append((await sandbox.exec(command, on_output=lambda _: begun.set())).output)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_twice)
            await begun.wait()
            await other.write({SCHEMA: b"two"})
            assert await other.arm(Command(argv=("node", "-e", waiting), deadline_s=60))
            while not (own / "waits").exists():
                await anyio.lowlevel.checkpoint()
            (only(cloud).home / "go").touch()
    assert ["oneone"] == said
    await other.close()
    await sandbox.ensure(no_progress)
    assert 1 == len([*own.glob("stage*")])


async def test_a_sandbox_in_which_files_of_ours_were_deleted_gets_them_again(sandbox, cloud) -> None:
    for ours in ("program-*", "preload-*"):
        [file] = only(cloud).home.glob(f".mcp-convex/{ours}")
        file.unlink()
        with pytest.raises(SandboxLost):
            await sandbox.ensure(no_progress)
        await sandbox.ensure(no_progress)
        assert file.exists()
    assert 0 == cloud.count(CREATE)


async def test_workspaces_have_each_their_own_sandbox(sandbox, cloud, store) -> None:
    other = open_sandbox(cloud, store, "another")
    assert () == await other.list()
    await other.ensure(no_progress)
    assert 2 == len({box.metadata["workspace"] for box in cloud.alive})


async def test_a_sandbox_is_kept_alive_while_it_is_used(sandbox, cloud) -> None:
    before = only(cloud).end_at
    await sandbox.exec(Command(argv=["true"], deadline_s=1200), on_output=ignore)
    assert 300 < (only(cloud).end_at - before).total_seconds()


async def test_a_sandbox_whose_lifetime_ended_unused_is_replaced_at_the_next_need(sandbox, cloud) -> None:
    sandbox._attachment._box._lives_until = 0
    await only(cloud).end()
    await sandbox.ensure(no_progress)
    assert (1, 1) == (cloud.count(CREATE), len(sandbox.take_notes()))
    assert "one" == inside(cloud, SCHEMA).read_text()


async def test_a_create_whose_answer_is_lost_makes_no_second_sandbox(cloud, store) -> None:
    cloud.faults.append(Fault(CREATE, cut_after=0))
    sandbox = open_sandbox(cloud, store, "lost")
    await sandbox.ensure(no_progress)
    assert 1 == len(cloud.alive)
    await only(cloud).end()
