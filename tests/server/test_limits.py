"""What one principal may have of a server that many share, over real HTTP."""

from __future__ import annotations

import anyio
import pytest
from mcp.shared.exceptions import MCPError

from tests.doubles.hosting import DISCOVER, HEADERS, hosted, hosted_settings, tokens_file
from tests.world import World

pytestmark = pytest.mark.anyio


def settings_for(folder, *names: str, **flags: str):
    file, tokens = tokens_file(folder, *names)
    return hosted_settings(folder, tokens_file=str(file), **flags), tokens


async def error_of(world: World, tool: str, **arguments: object) -> dict[str, object]:
    answer = await world.call(tool, **arguments)
    assert answer.is_error, answer.structured_content
    return answer.structured_content["error"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_who_calls_too_often_is_told_when_to_call_again_and_nobody_else_is(tmp_path, mode):
    settings, tokens = settings_for(tmp_path, "alice", "bob", principal_calls_per_minute="12")
    async with (
        hosted(settings, tokens) as host,
        host.client(tokens["alice"], mode=mode) as alice,
        host.client(tokens["bob"], mode=mode) as bob,
    ):
        refused = None
        while refused is None:
            answer = await alice.client.call_tool("get_connection", {})
            refused = answer.structured_content["error"] if answer.is_error else None
        assert ("too_many_calls", "same_call") == (refused["code"], refused["retry"])
        assert 3 <= refused["retry_after_s"] <= 5
        assert f"Wait {refused['retry_after_s']} s" in refused["next_step"]
        with pytest.raises(MCPError) as of_resource:
            await alice.client.read_resource("convex://audit")
        assert "too_many_calls" == of_resource.value.error.data["code"]
        assert not (await bob.client.call_tool("get_connection", {})).is_error


async def test_pushes_take_turns_and_who_waits_is_told_so(tmp_path):
    settings, tokens = settings_for(tmp_path, "alice", "bob", pushes="1")
    async with hosted(settings, tokens) as host:
        said: list[str] = []

        async def push(name: str) -> None:
            steps: list[float] = []

            async def on_progress(done: float, total: float | None, doing: str | None) -> None:
                steps.append(done)
                said.append(doing or "")

            host.furnish(f"tokens-file {name}")
            async with host.client(tokens[name]) as world:
                await world.hold({})
                pushed = await world.client.call_tool("push", {}, progress_callback=on_progress)
                assert "pushed" == pushed.structured_content["outcome"], pushed.content
            assert sorted(set(steps)) == steps

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for name in tokens:
                    tasks.start_soon(push, name)
        assert any(doing.startswith("waiting for a turn: 1 under way") for doing in said)


async def test_a_principal_has_only_so_many_workspaces_and_those_not_called_for_make_room(tmp_path):
    flags = {"principal_workspaces": "2", "principal_open_workspaces": "1"}
    settings, tokens = settings_for(tmp_path, "alice", "bob", **flags)
    async with hosted(settings, tokens) as host:

        async def files_in(name: str, who: str = "alice") -> dict[str, object]:
            async with host.client(tokens[who], query=f"?workspace={name}") as world:
                return (await world.client.call_tool("list_files", {})).structured_content

        for name in ("one", "two", "one"):
            assert "files" in await files_in(name)
        refused = (await files_in("three"))["error"]
        assert "too_many_workspaces" == refused["code"]
        assert "files" in await files_in("three", "bob")
        async with host.client(tokens["alice"], query="?workspace=one") as world, anyio.create_task_group() as tasks:
            tasks.start_soon(world.client.call_tool, "read_logs", {"wait_s": 30})
            with anyio.fail_after(60):
                while "error" not in (busy := await files_in("two")):
                    pass
            assert ("too_many_workspaces", 15) == (busy["error"]["code"], busy["error"]["retry_after_s"])
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_that_takes_too_long_is_stopped_and_says_what_to_do(tmp_path, mode):
    async with hosted(hosted_settings(tmp_path, call_deadline_s="1")) as host, host.client(None, mode=mode) as world:
        with anyio.fail_after(60):
            late = await error_of(world, "read_logs", wait_s=30)
            while "files" not in (await world.client.call_tool("list_files", {})).structured_content:
                pass  # a busy machine may take longer for this, too
        assert ("deadline_passed", "same_call") == (late["code"], late["retry"])


async def test_an_answer_that_is_too_large_is_not_sent(tmp_path):
    settings, tokens = settings_for(tmp_path, "alice")
    async with hosted(settings, tokens) as host, host.client(tokens["alice"]) as world:
        folder = host.furnish("tokens-file alice") / "convex" / ("n" * 120)
        folder.mkdir()
        for number in range(6_000):
            (folder / f"{number}.ts").touch()
        error = await error_of(world, "list_files")
        assert "too_large" == error["code"]
        assert "1,000,000" in error["message"]


async def test_a_server_that_has_as_much_to_do_as_it_can_says_so_at_the_door(tmp_path):
    async with (
        hosted(hosted_settings(tmp_path, calls="1")) as host,
        host.client(None) as world,
        host.http(None, **HEADERS) as http,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(world.client.call_tool, "read_logs", {"wait_s": 30})
        with anyio.fail_after(60):
            while (busy := await http.post(host.url, json=DISCOVER)).status_code == 200:
                pass
        assert (503, "busy", "2") == (busy.status_code, busy.json()["code"], busy.headers["retry-after"])
        assert 200 == (await http.get(f"{host.origin}/readyz")).status_code
        tasks.cancel_scope.cancel()
