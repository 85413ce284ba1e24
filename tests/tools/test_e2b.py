"""The main job in a sandbox at E2B, through the protocol: the credential stays outside, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest
from e2b import E2B

from tests.doubles.e2b.cloud import API_KEY, Fault
from tests.doubles.e2b.opening import loopback_e2b
from tests.e2b_world import E2BWorld, opened_e2b
from tests.world import APP, NOTES

pytestmark = pytest.mark.anyio

CREATE = "POST /v2/sandboxes"


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


async def test_the_main_job_in_one_go(world) -> None:
    pushed = await world.content("push")
    assert ("pushed", "vm") == (pushed["outcome"], pushed["isolation"]), pushed
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


async def test_the_credential_is_nowhere_in_the_sandbox_while_a_push_runs(world) -> None:
    await world.content("push")
    key = next(world.settings.data_dir.glob("embedded/*/*key*")).read_text()
    seen = await observed(world, world.content("push"))
    assert "gate|" in seen, "the observer has seen the CLI itself, with what it is given instead"
    assert key not in seen
    for secret in (key, API_KEY):
        holding = [path for path in world.box.home.rglob("*") if path.is_file() and secret in path.read_text("latin-1")]
        assert [] == holding


async def observed(world: E2BWorld, work) -> str:
    """Return what is to be seen in the box while *work* is done: environments, command lines, E2B's own list."""
    client = E2B(api_key=API_KEY, api_url=world.cloud.url, sandbox_url=world.cloud.url)
    sandbox = await client.AsyncSandbox.connect(world.box.id, timeout=900)
    task, seen = asyncio.create_task(work), []
    while not task.done():
        look = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline ~/.bash_history 2>/dev/null | tr '\\0' '\\n'"
        seen.append((await sandbox.commands.run(look, timeout=0)).stdout)
        seen.append(str(await sandbox.commands.list()))
    assert "pushed" == (await task)["outcome"]
    return "".join(seen)


async def test_what_something_else_wrote_in_the_sandbox_is_pushed_too(world) -> None:
    await world.content("push")
    (world.box.home / "app/convex/theirs.ts").write_text(NOTES)
    pushed = await world.content("push")
    assert {"theirs:add", "theirs:top"} <= set(pushed["changes"]["functions"]["added"])
    assert "1 files that something else had written" in pushed["notes"][0]
    assert "theirs" in (await world.content("read_file", path="convex/theirs.ts"))["path"]


async def test_a_push_after_the_sandbox_vanished_says_so_and_costs_one_create(world) -> None:
    await world.content("push")
    before = world.cloud.count(CREATE)
    await world.box.end()
    pushed = await world.content("push")
    assert "pushed" == pushed["outcome"]
    assert "another was started" in pushed["notes"][0]
    assert before + 1 == world.cloud.count(CREATE)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("list_files", {}),
        ("read_file", {"path": "convex/notes.ts"}),
        ("write_files", {"changes": [{"path": "convex/more.ts", "content": "export {};\n"}]}),
    ],
)
async def test_a_tool_that_meets_a_vanished_sandbox_does_its_work_and_says_so_once(world, tool, arguments) -> None:
    await world.content("push")
    before = world.cloud.count(CREATE)
    await world.box.end()
    said = [(await world.call(tool, **arguments)).content[0].text for _ in range(2)]
    assert [True, False] == ["The sandbox vanished" in text for text in said]
    assert before == world.cloud.count(CREATE)


@pytest.mark.parametrize(("requests", "befalls"), [(2, "kills"), (6, "kills"), (4, "pauses")])
async def test_a_push_whose_sandbox_dies_or_pauses_in_the_midst_recovers_by_itself(world, requests, befalls) -> None:
    await world.content("push")
    before = world.cloud.count(CREATE)
    await world.write({"convex/notes.ts": NOTES.replace("take(3)", f"take({requests})")})
    world.cloud.faults.append(Fault("SendInput", skip=requests, **{befalls: True}))
    pushed = await world.content("push")
    assert "pushed" == pushed["outcome"], pushed
    assert before + 1 >= world.cloud.count(CREATE)


@pytest.mark.parametrize("effect", ["before", "after"])
async def test_what_the_relay_has_to_send_again_arrives_once(world, effect) -> None:
    """The connection to the sandbox breaks in the midst: before a message has arrived there, or before that is told."""
    await world.content("push")
    before = world.cloud.count(CREATE)
    await world.write({"convex/notes.ts": NOTES.replace("take(3)", f"take({len(effect)})")})
    fault = {"status": 500} if effect == "before" else {"cut_after": 0}
    world.cloud.faults += [Fault("SendInput", skip=skip, **fault) for skip in (2, 3)]
    pushed = await world.content("push")
    assert ("pushed", [], before) == (pushed["outcome"], pushed["notes"], world.cloud.count(CREATE))


async def test_a_relay_that_breaks_is_no_push_that_hangs(world) -> None:
    await world.content("push")
    await world.write({"convex/notes.ts": NOTES.replace("take(3)", "take(9)")})
    world.cloud.faults.append(Fault("SendInput", status=500, skip=3, times=2))
    with anyio.fail_after(60):
        pushed = await world.content("push")
    assert "pushed" == pushed["outcome"], pushed


async def test_a_push_without_room_at_e2b_is_an_error_to_be_repeated(world) -> None:
    await world.content("push")
    await world.box.end()
    world.cloud.faults.append(Fault(CREATE, status=429, times=9))
    before = world.cloud.count(CREATE)
    assert "sandbox_busy" == await world.code("push")
    assert before + 4 == world.cloud.count(CREATE), "the SDK's own repetitions, and none of ours"
