"""Starting, dying and starting again: of the server, of the engine, and of several servers at once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx2
import pytest
from anyio.abc import Process

from mcp_convex.domain.errors import DirectoryUnusable, PortInUse, StoreCorrupt, ToolMissing
from mcp_convex.domain.models import WorkspaceId
from mcp_convex.domain.ports import ConfinedProcess, Launch, OnOutput
from mcp_convex.embedded import LocalEmbeddedDeployments, serve
from tests.doubles.embedded import CHAT, WORKSPACE, Running, running
from tests.doubles.plain_launcher import PlainLauncher

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
CRONS = """
import { cronJobs } from "convex/server";
import { api } from "./_generated/api";
const crons = cronJobs();
crons.interval("tick", { seconds: 1 }, api.messages.send, { author: "cron", body: "tick" });
export default crons;
"""


@pytest.fixture(scope="module")
async def folder(tmp_path_factory, anyio_backend) -> Path:
    """A folder in which a deployment was pushed to, used and closed."""
    folder = tmp_path_factory.mktemp("lifetimes")
    async with running(folder, CHAT) as chat:
        pushed = await chat.push()
        assert 0 == pushed.code, pushed.said
        await chat.http.post(
            "/api/update_environment_variables", json={"changes": [{"name": "GREETING", "value": "hi"}]}
        )
        await chat.value("mutation", "messages:send", {"author": "ada", "body": "first"})
    return folder


@contextlib.asynccontextmanager
async def standalone(data_dir: Path) -> AsyncIterator[tuple[Process, str]]:
    command = [sys.executable, "-m", "tests.doubles.standalone", str(data_dir)]
    async with await anyio.open_process(command, cwd=ROOT, stderr=None) as process:
        assert process.stdout
        with anyio.fail_after(60):
            url = (await process.stdout.receive()).decode().strip()
        try:
            yield process, url
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


async def bodies(chat: Running) -> list[str]:
    return [message["body"] for message in await chat.value("query", "messages:list")]


async def test_code_data_env_vars_and_urls_are_the_same_after_a_restart(folder: Path) -> None:
    async with running(folder, {}) as before:
        target, documents = before.reach.target, await before.value("query", "messages:list")
        key = before.key
    async with running(folder, {}) as after:
        assert (target, key) == (after.reach.target, after.key)
        assert documents == await after.value("query", "messages:list")
        assert ["hi", "hi"] == [await after.value("query", f"messages:{name}") for name in ("env", "early")]


async def test_a_push_replaces_what_does_not_load_any_more_and_the_data_stay(tmp_path: Path) -> None:
    async with running(tmp_path, CHAT) as chat:
        assert 0 == (await chat.push()).code
        await chat.value("mutation", "messages:send", {"author": "ada", "body": "stored"})
        modules = list(chat.folder.rglob("messages.js"))
    for module in modules:
        module.write_text("throw new Error('of another time');")

    async with running(tmp_path, CHAT) as chat:
        broken = await chat.http.post("/api/query", json={"path": "messages:list", "args": {}})
        chat.write({"convex/messages.ts": CHAT["convex/messages.ts"] + "export const again = 1;"})
        pushed = await chat.push()
        assert ["stored"] == await bodies(chat)

    assert modules
    assert "could not start again: InvalidModules" in broken.text
    assert 0 == pushed.code, pushed.said


async def test_a_server_that_is_killed_loses_nothing_and_leaves_no_engine(folder: Path) -> None:
    key = (folder / "data" / "embedded" / "main" / "admin-key").read_text()
    async with standalone(folder / "data") as (process, url):
        async with httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Convex {key}"}) as http:
            call = {"path": "messages:send", "args": {"author": "ada", "body": "before the kill"}}
            assert "success" == (await http.post("/api/mutation", json=call)).json()["status"]
        engines = [os.pidfd_open(pid) for pid in _children(process.pid)]
        process.kill()
        with anyio.fail_after(60):
            for engine in engines:
                await anyio.wait_readable(engine)
                os.close(engine)
    async with running(folder, {}) as after:
        assert "before the kill" in await bodies(after)

    assert engines


async def test_two_processes_share_one_deployment(folder: Path) -> None:
    launcher = PlainLauncher()
    async with standalone(folder / "data") as (_, url), running(folder, {}, launcher) as second:
        assert url == second.reach.target.url
        assert [] == launcher.started
        assert "first" in await bodies(second)


async def test_who_waits_for_logs_is_answered_when_the_deployment_ends(folder: Path) -> None:
    async with running(folder, {}) as deployment:
        at = urlsplit(deployment.reach.target.url)
        waiting = await anyio.connect_tcp(str(at.hostname), int(at.port or 0))
        asks = "GET /api/stream_function_logs?cursor=9e15 HTTP/1.1"
        await waiting.send(f"{asks}\r\nHost: {at.netloc}\r\nAuthorization: Convex {deployment.key}\r\n\r\n".encode())
        await deployment.http.get("/version")
    async with waiting:
        assert (await waiting.receive()).startswith(b"HTTP/1.1 200 OK")


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


async def test_the_operators_port_is_the_one_it_answers_at(folder: Path, free_port: int) -> None:
    async with LocalEmbeddedDeployments(folder / "data", PlainLauncher(), port=free_port) as deployments:
        assert f"http://127.0.0.1:{free_port}" == (await deployments.ensure(WORKSPACE)).target.url
    with socket.create_server(("127.0.0.1", free_port)):
        async with LocalEmbeddedDeployments(folder / "data", PlainLauncher(), port=free_port) as deployments:
            with pytest.raises(PortInUse):
                await deployments.ensure(WORKSPACE)


async def test_a_second_server_of_the_same_deployment_is_told_so(folder: Path) -> None:
    async with running(folder, {}):
        with pytest.raises(PortInUse, match="Another process already serves"):
            await serve(LocalEmbeddedDeployments(folder / "data", PlainLauncher()), WORKSPACE, print)


async def test_a_deployment_is_started_once(folder: Path) -> None:
    async with LocalEmbeddedDeployments(folder / "data", PlainLauncher()) as deployments:
        found = [await deployments.ensure(WORKSPACE), await deployments.ensure(WORKSPACE)]

    assert found[0] is found[1]


async def test_workspaces_have_deployments_of_their_own(tmp_path: Path) -> None:
    async with LocalEmbeddedDeployments(tmp_path, PlainLauncher()) as deployments:
        found = [await deployments.ensure(WorkspaceId(name)) for name in ("one", "two", "/some/where")]

    assert 3 == len({reach.target.url for reach in found})
    assert 3 == len({reach.credential.get_secret_value() for reach in found})
    assert ["one", "two"] == [reach.target.name for reach in found[:2]]


async def test_a_port_that_another_program_took_is_named(folder: Path) -> None:
    async with running(folder, {}) as before:
        port = int(before.reach.target.url.rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(PortInUse, match=str(port)):
            async with running(folder, {}):
                pass


async def test_an_engine_that_dies_is_started_again_with_everything(folder: Path) -> None:
    launcher = PlainLauncher()
    async with running(folder, {}, launcher) as chat:
        before = await bodies(chat)
        for engine in list(launcher.started):
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine.pid, signal.SIGKILL)
        with anyio.fail_after(60):
            while "error" == (await chat.call("query", "messages:list"))["status"]:
                pass

        assert before == await bodies(chat)
        assert "hi" == await chat.value("query", "messages:env")


async def test_a_function_that_ends_its_process_fails_and_the_next_call_works(folder: Path) -> None:
    kill = (
        'import { action } from "./_generated/server"; declare const process: any;'
        "export const self = action(async () => { process.kill(process.pid, 9); await new Promise(() => {}); });"
    )
    async with running(folder, {}) as chat:
        chat.write({"convex/kill.ts": kill})
        pushed = await chat.push()
        assert 0 == pushed.code, pushed.said
        with anyio.fail_after(60):
            killed = await chat.call("action", "kill:self")
            seen = await bodies(chat)
        chat.write({"convex/kill.ts": None})

    assert "error" == killed["status"]
    assert "first" in seen


async def test_crons_run_while_nobody_calls(folder: Path) -> None:
    async with running(folder, {}) as chat:
        chat.write({"convex/crons.ts": CRONS})
        assert 0 == (await chat.push()).code
        cursor = 0.0
        with anyio.fail_after(60):
            while "tick" not in await bodies(chat):
                logs = (await chat.http.get(f"/api/stream_function_logs?cursor={cursor}")).json()
                cursor = logs["newCursor"]
        chat.write({"convex/crons.ts": None})
        assert 0 == (await chat.push()).code


async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with LocalEmbeddedDeployments(tmp_path / "file", PlainLauncher()) as deployments:
        with pytest.raises(DirectoryUnusable, match="file"):
            await deployments.ensure(WORKSPACE)


async def test_a_file_of_the_deployment_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "embedded" / "main").mkdir(parents=True)
    (tmp_path / "embedded" / "main" / "env.json").write_text("{")
    async with LocalEmbeddedDeployments(tmp_path, PlainLauncher()) as deployments:
        with pytest.raises(StoreCorrupt, match=r"env\.json"):
            await deployments.ensure(WORKSPACE)


async def test_a_machine_without_node_is_told_what_is_missing(tmp_path: Path) -> None:
    async with LocalEmbeddedDeployments(tmp_path, NoNode()) as deployments:
        for _ in range(2):
            with pytest.raises(ToolMissing, match="no node"):
                await deployments.ensure(WORKSPACE)


class NoNode(PlainLauncher):
    async def start(self, launch: Launch, on_output: OnOutput) -> ConfinedProcess:
        raise ToolMissing("There is no node.", next_step="Install it.")


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
