"""E2B is down under a hosted server: each tool says so or goes on without it, and nothing that anybody did is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import anyio
import pytest

from tests.doubles.backend import code
from tests.doubles.backend import said as answered
from tests.doubles.deployment import fake_deployment
from tests.doubles.e2b.cloud import API_KEY, Fault
from tests.doubles.e2b.opening import loopback_e2b
from tests.doubles.hosting import hosted, hosted_settings, tokens_file
from tests.world import APP

pytestmark = pytest.mark.anyio

PEOPLE = ("alice", "bob", "carol", "dan")
MORE = {f"convex/more{number}.ts": f"export const more = {number};\n" for number in range(50)}
ALL = 10**6
DOWN = {
    "sandbox_busy": Fault("/", status=503, times=ALL),
    "settings_invalid": Fault("/", status=401, message="Invalid API key", times=ALL),
    "sandbox_lost": Fault("/", cut_after=0, times=ALL),
}
"""By what is said of it."""
GO_ON = {"list_functions": {}, "get_connection": {}, "dev_server": {"action": "stop"}}
"""Calls that need no sandbox."""


@pytest.fixture(scope="module")
async def house(tmp_path_factory, anyio_backend):
    """A server whose people have pushed many files at once, each from a sandbox to a deployment of their own."""
    folder = tmp_path_factory.mktemp("e2b-down")
    file, tokens = tokens_file(folder, *PEOPLE)
    async with AsyncExitStack() as opened:
        cloud = await opened.enter_async_context(loopback_e2b(folder / "boxes"))
        at = {"sandbox": "e2b", "e2b_api_url": cloud.url, "e2b_sandbox_url": cloud.url}
        settings = hosted_settings(folder, {"E2B_API_KEY": API_KEY}, tokens_file=str(file), **at)
        host = await opened.enter_async_context(hosted(settings, tokens))
        deployments = {name: await opened.enter_async_context(fake_deployment()) for name in PEOPLE}

        async def begin(name: str) -> None:
            await host.link(f"tokens-file {name}", deployments[name].reach)
            async with host.client(tokens[name]) as world:
                await world.write({**APP, **MORE})
                pushed = await world.content("push")
            assert ("pushed", [], 1) == (pushed["outcome"], pushed["notes"], deployments[name].pushes), pushed[
                "raw_tail"
            ]

        await for_all(PEOPLE, begin)
        assert len(PEOPLE) == len(cloud.alive)
        yield host, cloud, deployments


async def test_each_principal_is_told_and_what_was_written_goes_live_once_it_is_back(house):
    host, cloud, deployments = house

    async def work(name: str, said: str) -> None:
        async with host.client(host.tokens[name]) as world:
            for tool in ("check_files", "push"):
                error = (await world.call(tool)).structured_content["error"]
                assert (said, True) == (error["code"], bool(error["next_step"])), (tool, error)
                assert "Invalid" not in str(error)
            for tool, arguments in GO_ON.items():
                await world.content(tool, **arguments)
            if said != "settings_invalid":
                await world.write({f"convex/{name}.ts": f"export const said = '{said}';\n"})
                assert said in (await world.content("read_file", path=f"convex/{name}.ts"))["content"]

    async def go_on(name: str) -> None:
        async with host.client(host.tokens[name]) as world:
            assert "pushed" == (await world.content("push"))["outcome"]
        assert (True, 2) == (f"{name}.js" in deployments[name].live, deployments[name].pushes)

    for said, fault in DOWN.items():
        cloud.faults = [fault]
        await for_all(PEOPLE[:2], lambda name, said=said: work(name, said))
        assert (503, said) == await code(host, host.tokens["alice"], "dev/start")
        assert "off" == (await answered(host, host.tokens["alice"], "dev/stop"))["state"]
    cloud.faults = []
    await for_all(PEOPLE[:2], go_on)


async def test_who_waits_for_a_sandbox_that_does_not_come_may_leave_off_and_nobody_else_notices(house):
    host, cloud, _ = house
    cloud.faults = [stalled := Fault("/v2/sandboxes", stalls=True, times=ALL)]

    async def wait() -> None:
        async with host.client(host.tokens["alice"], query="?workspace=another") as world:
            await world.write(APP)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(wait)
            await stalled.met.wait()
            async with host.client(host.tokens["bob"]) as world:
                for tool, arguments in GO_ON.items():
                    await world.content(tool, **arguments)
            waiting.cancel_scope.cancel()
        cloud.faults = []
        async with host.client(host.tokens["alice"], query="?workspace=another") as world:
            await world.write(APP)
            assert [] == (await world.content("check_files"))["diagnostics"]


async def for_all(names: Sequence[str], work: Callable[[str], Awaitable[None]]) -> None:
    """Do *work* for each of *names* at once."""
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(work, name)
