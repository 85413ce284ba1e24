"""The main job in a sandbox at E2B, through the protocol: the credential stays outside, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest
from e2b import E2B

from mcp_convex.server import open_services
from tests.doubles.deployment import FakeDeployment, Holds, fake_deployment
from tests.doubles.e2b.box import HOME, Box
from tests.doubles.e2b.cloud import API_KEY, Fault
from tests.doubles.e2b.opening import loopback_e2b, open_account
from tests.e2b_world import E2BWorld, opened_beside, opened_e2b
from tests.world import APP, NOTES

pytestmark = pytest.mark.anyio

CREATE = "POST /v2/sandboxes"
ARMED = pytest.mark.parametrize("world", ["true"], ids=["armed"], indirect=True)
"""For what only the sandbox does, whichever way the CLI was started; there it has more to lose."""


@pytest.fixture(scope="module", params=["true", "false"], ids=["armed", "plain"])
async def world(request, tmp_path_factory, anyio_backend) -> AsyncIterator[E2BWorld]:
    folder = tmp_path_factory.mktemp("e2b")
    async with (
        loopback_e2b(folder / "boxes") as cloud,
        opened_e2b(folder, cloud, armed_pushes=request.param) as world,
    ):
        yield world


@pytest.fixture(autouse=True)
async def app(world) -> None:
    world.cloud.faults.clear()
    await world.write(APP)
    if not world.cloud.alive:
        assert "pushed" == (await world.content("push"))["outcome"]


async def test_the_main_job_in_one_go(world) -> None:
    pushed = await world.content("push")
    assert ("pushed", "vm") == (pushed["outcome"], pushed["isolation"]), pushed
    assert not world.box.internet
    await world.content("run_function", name="notes:add", args={"text": "first", "rank": 1})
    ran = await world.content("run_function", name="notes:top")
    assert "first" == ran["value"][0]["text"]
    home = world.box.home
    assert (home / "app/convex/_generated/api.d.ts").exists()
    assert pushed["target"]["url"] in (home / "app/.env.local").read_text()
    assert [] == [path.name for path in world.workspace.iterdir()]


async def test_a_check_and_a_preview_leave_the_deployment_as_it_is(world) -> None:
    await world.write({"convex/later.ts": NOTES})
    assert (await world.content("check_files"))["ok"]
    previewed = await world.content("push", preview=True)
    assert ("previewed", {"later:add", "later:top"}) == (
        previewed["outcome"],
        set(previewed["changes"]["functions"]["added"]),
    )
    await world.content("write_files", changes=[{"path": "convex/later.ts", "delete": True}])


async def test_a_type_error_is_located_from_the_root_of_the_workspace(world) -> None:
    await world.write({"convex/notes.ts": NOTES.replace("args.text", "args.txet")})
    pushed = (await world.call("push")).structured_content
    assert ("rejected", "source") == (pushed["outcome"], pushed["failure"])
    found = pushed["diagnostics"][0]
    assert ("convex/notes.ts", 7, "TS2339") == (found["file"], found["line"], found["code"])


async def test_the_credential_is_nowhere_in_the_sandbox_while_a_push_runs_and_after_it(world) -> None:
    async with fake_deployment() as deployment, linked(world, deployment):
        deployment.script("finish_push", held := Holds(applies=True))
        push = asyncio.create_task(world.content("push"))
        with anyio.fail_after(60):
            await held.reached.wait()
        seen = [await shown(world), written(world.box)]
        held.released.set()
        assert "pushed" == (await push)["outcome"]
        seen += [await shown(world), written(world.box)]

    assert "gate|" in seen[0], "the CLI itself was seen, with what it is given instead"
    assert "export const top" in seen[1]
    for secret in (deployment.admin_key.rpartition("|")[2], API_KEY):
        assert [False] * 4 == [secret in each for each in seen]


@asynccontextmanager
async def linked(world: E2BWorld, deployment: FakeDeployment) -> AsyncIterator[None]:
    """Have pushes go to *deployment* for the block."""
    async with open_services(world.settings) as services:
        await services.targets.link(deployment.url, deployment.reach.credential)
        yield
        await services.targets.unlink()
        (world.box.home / "app/.env.local").unlink()  # it names that deployment


async def shown(world: E2BWorld) -> str:
    """Return what there is to be seen of the processes in the box: environments, command lines, E2B's own list."""
    client = E2B(api_key=API_KEY, api_url=world.cloud.url, sandbox_url=world.cloud.url)
    sandbox = await client.AsyncSandbox.connect(world.box.id, timeout=900)
    look = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'"
    return (await sandbox.commands.run(look, timeout=0)).stdout + str(await sandbox.commands.list())


def written(box: Box) -> str:
    """Return what all files hold that can have been written in *box*, its shells' histories too."""
    found = []
    for place in (HOME.lstrip("/"), "tmp", "dev/shm"):
        for folder, _, names in os.walk(box.root / place):
            for path in (Path(folder, name) for name in names):
                with suppress(FileNotFoundError):  # the next CLI may be on its way
                    found += [path.read_text("latin-1")] if path.is_file() and not path.is_symlink() else []
    return "".join(found)


async def test_what_something_else_wrote_in_the_sandbox_is_pushed_too(world) -> None:
    (world.box.home / "app/convex/theirs.ts").write_text(NOTES)
    pushed = await world.content("push")
    assert {"theirs:add", "theirs:top"} <= set(pushed["changes"]["functions"]["added"])
    assert "1 files that something else had written" in pushed["notes"][0]
    assert "theirs" in (await world.content("read_file", path="convex/theirs.ts"))["path"]


@ARMED
async def test_a_push_after_the_sandbox_vanished_says_so_and_costs_one_create(world) -> None:
    before = world.cloud.count(CREATE)
    await world.box.end()
    pushed = await world.content("push")
    assert "pushed" == pushed["outcome"]
    assert "another was started" in pushed["notes"][0]
    assert before + 1 == world.cloud.count(CREATE)


@ARMED
async def test_tools_that_meet_a_vanished_sandbox_do_their_work_and_say_so_once(world) -> None:
    before = world.cloud.count(CREATE)
    await world.box.end()
    more = {"path": "convex/more.ts", "content": "export {};\n"}
    told = [
        (await world.call(tool, **arguments)).content[0].text
        for tool, arguments in (("write_files", {"changes": [more]}), ("read_file", {"path": more["path"]}))
    ]
    assert [True, False] == ["The sandbox vanished" in text for text in told]
    assert "export {};" in told[1]
    assert before == world.cloud.count(CREATE)


@ARMED
@pytest.mark.parametrize(("requests", "befalls"), [(2, "kills"), (6, "kills"), (4, "pauses")])
async def test_a_push_whose_sandbox_dies_or_pauses_in_the_midst_recovers_by_itself(world, requests, befalls) -> None:
    before = world.cloud.count(CREATE)
    await world.write({"convex/notes.ts": NOTES.replace("take(3)", f"take({requests})")})
    world.cloud.faults.append(Fault("SendInput", skip=requests, **{befalls: True}))
    pushed = await world.content("push")
    assert "pushed" == pushed["outcome"], pushed
    assert before + 1 >= world.cloud.count(CREATE)


@ARMED
async def test_what_the_relay_has_to_send_again_arrives_once(world) -> None:
    """The connection to the sandbox breaks before a message has arrived there, and before that another has is told."""
    before = world.cloud.count(CREATE)
    await world.write({"convex/notes.ts": NOTES.replace("take(3)", "take(7)")})
    world.cloud.faults += [Fault("SendInput", status=500, skip=2), Fault("SendInput", cut_after=0, skip=3)]
    pushed = await world.content("push")
    assert ("pushed", [], before) == (pushed["outcome"], pushed["notes"], world.cloud.count(CREATE))
    assert [0, 0] == [fault.times for fault in world.cloud.faults]


@ARMED
async def test_a_relay_that_breaks_is_no_push_that_hangs(world) -> None:
    await world.write({"convex/notes.ts": NOTES.replace("take(3)", "take(9)")})
    world.cloud.faults.append(Fault("SendInput", status=500, skip=3, times=2))
    with anyio.fail_after(60):
        pushed = await world.content("push")
    assert "pushed" == pushed["outcome"], pushed


@ARMED
async def test_calls_that_meet_a_silence_of_e2b_end_in_time_and_the_next_ones_go_on(world) -> None:
    account = open_account(world.cloud)
    usual = account.patience_s
    async with opened_beside(world, account) as beside:
        account.patience_s = 0.2
        world.cloud.faults.append(Fault("/", stalls=True, times=99))
        await beside.write({"convex/silent.ts": NOTES})
        read = await beside.call("read_file", path="convex/silent.ts")
        error = (await beside.call("push")).structured_content["error"]
        assert "cannot be reached" in read.content[0].text
        assert ("sandbox_lost", "same_call") == (error["code"], error["retry"])
        assert "in a minute" in error["next_step"]

        account.patience_s = usual
        world.cloud.faults.clear()
        pushed = await beside.content("push")
        assert ("pushed", []) == (pushed["outcome"], pushed["notes"])
        assert "silent:top" in pushed["changes"]["functions"]["added"]


@ARMED
async def test_a_push_that_gets_no_sandbox_says_whose_turn_it_is(world) -> None:
    await world.box.end()
    for fault, code, creates in (
        (Fault(CREATE, status=401), "settings_invalid", 1),
        (Fault(CREATE, status=404), "settings_invalid", 1),
        (Fault(CREATE, status=429, times=9), "sandbox_busy", 4),  # the SDK's own repetitions, and none of ours
        (Fault(CREATE, status=503, times=9), "sandbox_busy", 4),
        (Fault(CREATE, cut_after=0, times=9), "sandbox_lost", 2),
    ):
        world.cloud.faults = [fault]
        before = world.cloud.count(CREATE)
        assert (code, before + creates) == (await world.code("push"), world.cloud.count(CREATE))
