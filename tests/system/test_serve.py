"""`mcp-convex serve` as an operator runs it: a process that is told to end while calls are under way."""

from __future__ import annotations

import json
import signal
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from tests.doubles.hosting import DISCOVER, HEADERS, Hosted, hosted_settings, tokens_file
from tests.system.processes import until_gone
from tests.system.spawning import command

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(folder, *flags: str):
    """Spawn a server that knows alice, and give it with its process."""
    file, tokens = tokens_file(folder, "alice")
    settings = hosted_settings(folder, tokens_file=str(file))
    argv = [*command(settings, "serve"), "--listen-port", "0", "--tokens-file", str(file), *flags]
    async with await anyio.open_process(argv, stderr=None) as process:
        try:
            with anyio.fail_after(60):
                said = await TextReceiveStream(process.stdout).receive()
            yield Hosted(settings, url=said.removeprefix("Serving at ").strip().rstrip("."), tokens=tokens), process
        finally:
            if process.returncode is None:
                process.kill()


async def test_a_call_that_does_not_end_in_time_is_ended(tmp_path):
    async with serving(tmp_path, "--drain-s", "0") as (host, process):
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
    async with serving(tmp_path, "--pushes", "1", *patient) as (host, process):
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
