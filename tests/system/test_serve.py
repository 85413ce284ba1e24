"""`mcp-convex serve` as an operator runs it: a process that is told to end while calls are under way."""

from __future__ import annotations

import json
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from mcp_convex.sandboxes.isolation.bubblewrap import find_bubblewrap
from tests.doubles.deployment import fake_deployment
from tests.doubles.hosting import DISCOVER, HEADERS, Hosted, hosted_settings, tokens_file
from tests.system.processes import until_gone
from tests.system.spawning import command
from tests.world import APP, World

pytestmark = pytest.mark.anyio


def known(folder: Path) -> Hosted:
    """Return a server below *folder* that knows two people, and does not run yet."""
    file, tokens = tokens_file(folder, "alice", "bob")
    return Hosted(hosted_settings(folder, tokens_file=str(file), armed_pushes="false"), tokens=tokens)


@asynccontextmanager
async def serving(host: Hosted, *flags: str, under: tuple[str, ...] = ()):
    """Spawn the server, started by *under*, and give its process."""
    of_host = ("--listen-port", "0", "--tokens-file", str(host.settings.tokens_file))
    argv = [*under, *command(host.settings, "serve"), *of_host, *flags]
    async with await anyio.open_process(argv, stderr=None) as process:
        try:
            with anyio.fail_after(60):
                said = await TextReceiveStream(process.stdout).receive()
            host.url = said.removeprefix("Serving at ").strip().rstrip(".")
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def test_a_call_that_does_not_end_in_time_is_ended(tmp_path):
    host = known(tmp_path)
    async with serving(host, "--drain-s", "0") as process:
        host.furnish("tokens-file alice")
        async with host.http(host.tokens["alice"]) as http:
            begun = anyio.Event()
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})

            async def slowly():
                yield body[:10].encode()
                begun.set()
                await anyio.sleep_forever()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: http.post(host.url, content=slowly()))
                await begun.wait()
                process.terminate()
                with anyio.fail_after(60):
                    assert 0 == await process.wait()
                tasks.cancel_scope.cancel()
    await until_gone(tmp_path)


async def test_sigterm_under_load_loses_no_answer_in_either_era_and_lets_those_who_wait_have_their_turn(tmp_path):
    patient = ("--drain-s", "240", "--principal-calls-per-minute", "0")
    host = known(tmp_path)
    async with serving(host, "--pushes", "1", *patient) as process:
        answers: list[tuple[int, str]] = []
        outcomes: list[str] = []
        said: set[str] = set()
        waits = anyio.Event()

        async def on_progress(done: float, total: float | None, doing: str | None) -> None:
            said.add(doing or "")
            if any(each.startswith("waiting for a turn") for each in said):
                waits.set()

        async def push(mode: str) -> None:
            host.furnish("tokens-file alice", mode)
            async with host.client(host.tokens["alice"], mode=mode, query=f"?workspace={mode}") as world:
                await world.hold({})
                pushed = await world.client.call_tool("push", {}, progress_callback=on_progress)
                assert not pushed.is_error, pushed.content
                outcomes.append(pushed.structured_content["outcome"])

        async def call_until_refused() -> None:
            async with host.http(host.tokens["alice"], **{**HEADERS, "Mcp-Method": "tools/list"}) as http:
                while not answers or answers[-1][0] == 200:
                    answer = await http.post(host.url, json={**DISCOVER, "method": "tools/list"})
                    code = answer.json().get("code", "")
                    answers.append((answer.status_code, code))

        with anyio.fail_after(300):
            async with anyio.create_task_group() as tasks:
                for mode in ("auto", "legacy"):
                    tasks.start_soon(push, mode)
                for _ in range(8):
                    tasks.start_soon(call_until_refused)
                await waits.wait()
                process.send_signal(signal.SIGTERM)
            assert 0 == await process.wait()
        assert ["pushed", "pushed"] == outcomes
        assert {(200, ""), (503, "draining")} == set(answers)
    await until_gone(tmp_path)


def moved_to_a_small_disk(place: Path, size: int) -> tuple[str, ...]:
    """Return what starts a program for which *place*, with all that is in it, is on a disk of *size* bytes."""
    (kept := place.with_name("kept")).mkdir()
    disk = ("--bind", str(place), str(kept), "--size", str(size), "--tmpfs", str(place), "--die-with-parent")
    copying = ("sh", "-c", 'cp -a "$0/." "$1" && shift && exec "$@"', str(kept), str(place))
    return (str(find_bubblewrap()), "--dev-bind", "/", "/", *disk, "--", *copying)


async def fill(world: World) -> list[str]:
    """Write files for as long as the disk takes them, smaller and smaller ones, and return their paths."""
    paths: list[str] = []
    for size in (300_000, 30_000, 3_000, 300):
        error = None
        while error is None:
            change = {"path": f"convex/large{len(paths)}.ts", "content": f"//{'x' * size}\n"}
            answer = await world.call("write_files", changes=[change])
            error = answer.structured_content.get("error")
            paths += [change["path"]] if error is None else []
            assert len(paths) < 200, "that is no small disk"
        assert ("disk_full", True) == (error["code"], bool(error["next_step"])), error
    return paths


async def test_while_one_principal_fills_the_disk_another_loses_nothing_and_does_nothing_twice(tmp_path):
    host = known(tmp_path)
    async with fake_deployment() as deployment:
        for name in host.tokens:
            host.furnish(f"tokens-file {name}")
        await host.link("tokens-file bob", deployment.reach)
        under = moved_to_a_small_disk(host.settings.data_dir, 4_000_000)
        async with (
            serving(host, under=under),
            host.client(host.tokens["alice"]) as alice,
            host.client(host.tokens["bob"]) as bob,
            host.http(None) as http,
        ):
            await bob.write(APP)
            await bob.content("set_env_vars", values={"SITE": "before"})
            large = await fill(alice)
            refused = {
                "push": await bob.call("push"),
                "write_files": await bob.call(
                    "write_files", changes=[{"path": "convex/notes.ts", "content": "// bob\n" * 10_000}]
                ),
            }
            assert all("disk_full" in answer.content[0].text for answer in refused.values()), refused
            assert APP["convex/notes.ts"] == (await bob.content("read_file", path="convex/notes.ts"))["content"]
            await bob.content("set_env_vars", values={"SITE": "after"})
            assert (0, {"SITE": "after"}) == (deployment.pushes, deployment.env_vars)
            health = [(await http.get(f"{host.origin}/{path}")).status_code for path in ("healthz", "readyz")]
            assert [200, 200] == health

            for paths in (large[:1], large[1:]):
                await alice.content("write_files", changes=[{"path": path, "delete": True} for path in paths])
            assert "pushed" == (await bob.content("push"))["outcome"]
            assert 1 == deployment.pushes
            with anyio.fail_after(60):
                while len(kept := await audited(bob)) < 6:  # noqa: ASYNC110 - those come late that had no room
                    await anyio.sleep(0.1)
    told = [("write_files", "ok"), ("set_env_vars", "ok"), ("set_env_vars", "ok"), ("push", "pushed")]
    told += [
        (tool, (answer.structured_content.get("error") or {"code": "failed"})["code"])
        for tool, answer in refused.items()
    ]
    assert sorted(told) == sorted(kept)
    await until_gone(tmp_path)


async def audited(world: World) -> list[tuple[str, str]]:
    (read,) = (await world.client.read_resource("convex://audit")).contents
    return [(event["tool"], event["outcome"]) for event in json.loads(read.text)["events"]]
