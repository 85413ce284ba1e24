"""The dev server: what is written, by whatever hand, goes live by itself."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import asynccontextmanager

import pytest
from mcp import Client

from mcp_convex.domain.diagnostics import STUBBORN
from mcp_convex.server import open_services
from tests.doubles.deployment import Answers, Holds, Says, fake_deployment
from tests.doubles.e2b.opening import loopback_e2b
from tests.doubles.following import following
from tests.e2b_world import e2b_settings
from tests.world import NOTES, World, make_settings

pytestmark = pytest.mark.anyio

BROKEN = "export const x = {;\n"


def noting(number: int) -> str:
    """Return the example functions with a difference that shows in what they answer."""
    return NOTES.replace("take(3)", f"take({number})")


@asynccontextmanager
async def served(settings, era="auto"):
    """Serve the workspace of *settings* for the block, to a client that follows."""

    def connect(listen):
        return Client(World.server(settings), mode=era, message_handler=listen)

    async with following(connect, settings, era) as follower:
        yield follower


@asynccontextmanager
async def started(settings, era="auto"):
    """Serve the example app with its dev server on."""
    async with served(settings, era) as dev:
        await dev.world.hold({})
        status = await dev.start()
        assert "pushed" == status["last_push"]["outcome"], status
        yield dev


async def told(dev, uri):
    """Return what the resource *uri* holds."""
    return json.loads((await dev.world.client.read_resource(uri)).contents[0].text)


@pytest.fixture(scope="module")
async def begun(tmp_path_factory, anyio_backend):
    """A server whose workspace has the embedded deployment, for the module's tests."""
    async with started(make_settings(tmp_path_factory.mktemp("embedded"))) as dev:
        yield dev


@pytest.fixture
async def dev(begun):
    """The same with its dev server on, and nothing but the example app, which is live."""
    return await begun_anew(begun)


@pytest.fixture(scope="module")
async def begun_elsewhere(tmp_path_factory, anyio_backend):
    """The same in the other era, with a deployment that can be told to misbehave."""
    settings = make_settings(tmp_path_factory.mktemp("elsewhere"))
    async with fake_deployment() as deployment:
        await link(settings, deployment)
        async with started(settings, "legacy") as dev:
            yield dev, deployment


@pytest.fixture
async def elsewhere(begun_elsewhere):
    dev, deployment = begun_elsewhere
    await link(dev.world.settings, deployment)
    deployment.mend()
    deployment.live.clear()  # what is not live needs nobody's consent to be removed
    return await begun_anew(dev), deployment


async def link(settings, deployment) -> None:
    async with open_services(settings) as services:
        await services.targets.link(deployment.url, deployment.reach.credential)


async def begun_anew(dev):
    """Forget what an earlier test has left."""
    await dev.world.hold({})
    await dev.start()
    dev.last = (await dev.until(lambda now: "waiting" == now["state"]))["last_push"]["id"]
    return dev


def at_work() -> set[object]:
    """Return the tasks and threads of dev servers."""
    tasks = {task for task in asyncio.all_tasks() if "DevWork" in repr(task.get_coro())}
    return tasks | {thread for thread in threading.enumerate() if thread.name == "watch"}


async def test_what_is_written_goes_live_by_itself_whoever_writes_it(dev):
    status = await dev.status()
    assert ("waiting", "embedded") == (status["state"], status["target"]["kind"])

    await dev.world.write({"convex/more.ts": NOTES})
    await dev.until_pushed()
    assert (await dev.world.content("list_functions", search="more"))["functions"]

    (dev.world.workspace / "convex/deeper").mkdir()
    (dev.world.workspace / "convex/deeper/foreign.ts").write_text(NOTES.replace("./_gen", "../_gen"))
    await dev.until_pushed()
    assert (await dev.world.content("list_functions", search="deeper/foreign"))["functions"]

    (dev.world.workspace / "convex/deeper/foreign.ts").write_text(BROKEN)
    status = await dev.until_pushed("rejected")
    assert "convex/deeper/foreign.ts" == status["last_push"]["diagnostics"][0]["file"]
    assert "write_files" in status["next_step"]
    said = (await dev.world.call("dev_server", action="status")).content[0].text
    assert "convex/deeper/foreign.ts:1" in said

    await dev.world.content("write_files", changes=[{"path": "convex/deeper/foreign.ts", "delete": True}])
    status = await dev.until_pushed()
    assert "by itself" in status["next_step"]

    before = at_work()
    off = await dev.world.content("dev_server", action="stop")
    assert (False, "off", None) == (off["on"], off["state"], off["stopped_because"])
    assert off == await dev.world.content("dev_server", action="stop")
    assert 3 == len(before - at_work()), "its work, its watch and the thread of that"


async def test_what_is_written_during_a_push_is_one_push_more_and_what_was_pushed_is_not_pushed_again(elsewhere):
    dev, deployment = elsewhere
    before = dev.last
    deployment.script("finish_push", held := Holds(applies=True))
    await dev.world.write({"convex/notes.ts": noting(4)})
    await held.reached.wait()
    for number in range(5):
        await dev.world.write({"convex/notes.ts": noting(number + 5), f"convex/n{number}.ts": NOTES})
    held.released.set()
    while (await dev.pushes()).index(before) < 2:
        status = await dev.until_pushed()
    assert {f"n{number}:top" for number in range(5)} <= {
        function["name"] for function in (await dev.world.content("list_functions", search=":top"))["functions"]
    }

    (dev.world.workspace / "convex/notes.ts").write_text(noting(9))  # the same again, only newer
    again = await dev.world.content("dev_server", action="start")
    assert (status["last_push"], status["since"]) == (again["last_push"], again["since"])
    assert 2 == (await dev.pushes()).index(before)


@pytest.mark.parametrize("others", [False, True])
async def test_a_push_joins_the_one_under_way_and_follows_it_where_the_files_are_others(elsewhere, others):
    dev, deployment = elsewhere
    deployment.always("finish_push", held := Holds(applies=True))
    await dev.world.write({"convex/notes.ts": noting(4)})
    await held.reached.wait()
    if others:
        await dev.world.write({"convex/after.ts": NOTES})
    push = asyncio.ensure_future(dev.world.content("push"))
    for _ in range(5):  # calls that come later are answered, so that this one is under way
        await dev.status()
    held.released.set()
    pushed = await push
    pushes = await dev.pushes()
    under_way = pushes[pushes.index(dev.last) - 1]
    assert others == (pushed["id"] != under_way)
    assert others == ("after.js" in str(deployment.asked("start_push")[-1].body))


async def test_it_ends_itself_after_five_failures_alike_and_only_a_start_begins_anew(dev):
    for number in range(STUBBORN):
        await dev.world.write({"convex/stuck.ts": f"{BROKEN}// {number}\n"})
        status = await dev.until_pushed("rejected")
    status = await dev.until(lambda now: not now["on"])
    assert (STUBBORN, "off") == (status["failures_alike"], status["state"])
    assert f"{STUBBORN} pushes in a row failed" in status["stopped_because"]
    assert "person" in status["next_step"]

    await dev.world.content("write_files", changes=[{"path": "convex/stuck.ts", "delete": True}])
    assert status["last_push"] == (await dev.status())["last_push"]
    again = await dev.world.content("dev_server", action="start")
    assert ("pushed", 0, None) == (again["last_push"]["outcome"], again["failures_alike"], again["stopped_because"])


async def test_at_e2b_it_goes_on_whatever_becomes_of_the_sandbox_and_of_the_server(tmp_path):
    async with loopback_e2b(tmp_path / "boxes") as cloud:
        settings = e2b_settings(tmp_path, cloud)
        async with started(settings) as dev:
            since = (await dev.status())["since"]
            await dev.world.write({"convex/ours.ts": NOTES})
            await dev.until_pushed()
            app = cloud.alive[0].home / "app/convex"
            (app / "theirs.ts").write_text(NOTES)
            last = (await dev.until_pushed())["last_push"]["id"]
            record = await told(dev, f"convex://pushes/{last}")
            assert ["theirs:add", "theirs:top"] == sorted(record["result"]["changes"]["functions"]["added"])
        (app / "meanwhile.ts").write_text(NOTES)

        async with served(settings) as dev:
            dev.last = last
            assert since == (await dev.until_pushed())["since"]
            await cloud.alive[0].end()
            await dev.world.write({"convex/after.ts": NOTES})
            assert "waiting" == (await dev.until_pushed())["state"]
            live = (await dev.world.content("list_functions", search=":top"))["functions"]
            written = {"after", "meanwhile", "notes", "ours", "theirs"}
            assert {f"{module}:top" for module in written} == {function["name"] for function in live}
            assert 2 == cloud.count("POST /v2/sandboxes")
            assert not (await dev.world.content("dev_server", action="stop"))["on"]


async def test_of_two_servers_over_one_store_one_does_the_work_and_the_other_takes_it_over(tmp_path):
    settings = make_settings(tmp_path)
    async with served(settings) as second:
        async with started(settings) as first:
            assert "elsewhere" == (await second.status())["state"]
            await second.world.write({"convex/notes.ts": noting(4)})
            await first.until(lambda now: now["state"] == "pushing")
            joined = await second.world.content("push")
            second.last = (await first.until_pushed())["last_push"]["id"]
        before = await second.pushes()
        assert joined["id"] == before[0]
        await second.until(lambda now: now["state"] == "waiting")
        await second.world.write({"convex/notes.ts": noting(5)})
        await second.until_pushed()
        assert before == (await second.pushes())[1:]


async def test_what_needs_a_persons_consent_waits_for_a_push(elsewhere):
    dev, _ = elsewhere
    await dev.world.write({"convex/gone.ts": NOTES})
    await dev.until_pushed()
    await dev.world.content("write_files", changes=[{"path": "convex/gone.ts", "delete": True}])
    status = await dev.until_pushed("rejected")

    assert "needs_consent" == status["last_push"]["failure"]
    assert "`push` again asks them" in status["next_step"]
    assert (await dev.world.content("list_functions", search="gone"))["functions"]

    async with open_services(dev.world.settings) as services:
        await services.targets.unlink()
    status = await dev.until(lambda now: not now["on"])
    assert "does not push to" in status["stopped_because"]


async def test_an_env_var_that_a_push_lacked_needs_no_other_push_once_it_is_set(dev):
    config = 'import { defineApp } from "convex/server";\nimport { v } from "convex/values";\n'
    config += "export default defineApp({ env: { GREETING: v.string() } });\n"
    await dev.world.write({"convex/convex.config.ts": config})
    status = await dev.until_pushed("rejected")
    assert "env_missing" == status["last_push"]["failure"]

    await dev.world.content("set_env_vars", values={"GREETING": "hello"})
    await dev.until_pushed()
    events = (await told(dev, "convex://audit"))["events"]
    assert {"pushed", "rejected"} <= {event["outcome"] for event in events if "dev_server" == event["tool"]}


async def test_production_is_refused_even_where_the_operator_allows_it(tmp_path):
    settings = make_settings(tmp_path, allow_production="true")
    async with fake_deployment() as deployment, served(settings) as dev:
        deployment.always("deployment_info", Answers({"kind": "cloud", "deploymentType": "prod"}))
        await link(settings, deployment)
        await dev.world.hold({})

        assert "blocked_by_policy" == await dev.world.code("dev_server", action="start")
        status = await dev.status()
        assert (False, None) == (status["on"], status["last_push"])
        assert 0 == deployment.pushes


async def test_what_passes_by_itself_is_tried_again_until_it_has_passed(elsewhere):
    dev, deployment = elsewhere
    deployment.always("deployment_info", Says(503, headers={"Retry-After": "60"}))  # no single call waits so long
    await dev.world.write({"convex/notes.ts": noting(4)})
    retrying = await dev.until(lambda now: now["state"] == "retrying")
    assert "transient" in retrying["trouble"]
    deployment.mend()
    status = await dev.until(lambda now: "pushed" == now["last_push"]["outcome"] and now["state"] == "waiting")
    assert status["trouble"] is None
