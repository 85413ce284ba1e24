"""The two sides of each figure, each a coroutine function that returns the seconds it took."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path

import psutil
from mcp import Client
from pydantic import SecretBytes

from benchmarks.projects import Bench
from mcp_convex.convex_api.deployment import HttpDeploymentApi
from mcp_convex.store import KeyRing
from mcp_convex.store.encryption import Cipher
from tests.doubles.hosting import INITIALIZE

Measure = Callable[[], Awaitable[float]]

_SECONDS_TO_LOAD = 5
_SECONDS_OF_WAITING = 5
_FILES = 100
_CREDENTIALS = 1000
_FLAGS = ("--typecheck", "enable", "--tail-logs", "disable")


def pushes(bench: Bench) -> tuple[Measure, Measure, Measure, Measure]:
    """Return a push through the server, by a CLI that waited, by the same CLI directly, and by `npx` in vanilla."""
    rounds = count()
    ours = bench.settings.workspace
    at = ("--url", bench.reach.target.url, "--admin-key", bench.reach.credential.get_secret_value())
    bundle = str(ours / "node_modules" / "convex" / "dist" / "cli.bundle.cjs")

    async def through(client: Client, workspace: Path) -> float:
        _change(workspace, next(rounds))
        started = time.monotonic()
        result = await client.call_tool("push", {})
        assert result.structured_content["outcome"] == "pushed", result.content
        return time.monotonic() - started

    async def through_the_server() -> float:
        return await through(bench.client, ours)

    async def armed() -> float:
        return await through(bench.armed, bench.armed_workspace)

    async def by_the_same_cli() -> float:
        _change(ours, next(rounds))
        return await _run(["node", bundle, "dev", "--once", *at, *_FLAGS], ours)

    async def by_npx() -> float:
        _change(bench.vanilla, next(rounds))
        return await _run(["npx", "convex", "dev", "--once", *at], bench.vanilla)

    return through_the_server, armed, by_the_same_cli, by_npx


def _change(project: Path, number: int) -> None:
    """Make the push carry something new, as one that somebody waits for does."""
    path = project / "convex" / "people.ts"
    text = path.read_text().partition("\n// round")[0].rstrip()
    path.write_text(f"{text}\n// round\nexport const round = {number};\n")


async def _run(command: Sequence[str], cwd: Path) -> float:
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=os.environ | {"CI": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert b"functions ready" in said, said
    return time.monotonic() - started


def starts(bench: Bench) -> tuple[Measure, Measure]:
    """Return the time from spawning to the first answer, of this server and of Convex's own."""
    script = str(Path(sys.executable).with_name("mcp-convex"))
    theirs = str(bench.vanilla / "node_modules" / "convex" / "bin" / "main.js")
    flags = ["--workspace", str(bench.settings.workspace), "--data-dir", str(bench.settings.data_dir)]
    return _start([script, *flags], bench.vanilla), _start(["node", theirs, "mcp", "start"], bench.vanilla)


def _start(command: Sequence[str], cwd: Path) -> Measure:
    async def measure() -> float:
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
        answer = json.loads(await process.stdout.readline())
        took = time.monotonic() - started
        assert "result" in answer, answer
        process.kill()
        await process.communicate()
        return took

    return measure


def files_written(bench: Bench) -> tuple[Measure, Measure]:
    """Return writing a hundred files through the tool, and plainly."""
    rounds = count()

    async def through_the_tool() -> float:
        texts = _texts(next(rounds))
        changes = [{"path": f"src/tool/{name}", "content": text} for name, text in texts.items()]
        started = time.monotonic()
        result = await bench.client.call_tool("write_files", {"changes": changes})
        assert not result.is_error, result.content
        return time.monotonic() - started

    async def plainly() -> float:
        texts = _texts(next(rounds))
        folder = bench.folder / "plain"
        started = time.monotonic()
        folder.mkdir(exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text)
        return time.monotonic() - started

    return through_the_tool, plainly


def _texts(number: int) -> dict[str, str]:
    return {f"part{index}.ts": f"export const value = {number};\n" * 40 for index in range(_FILES)}


def env_vars_listed(bench: Bench) -> tuple[Measure, Measure]:
    """Return listing the env vars through the tool, and the API's own answer."""
    api = HttpDeploymentApi()

    async def through_the_tool() -> float:
        started = time.monotonic()
        result = await bench.client.call_tool("list_env_vars", {})
        assert not result.is_error, result.content
        return time.monotonic() - started

    async def by_the_api() -> float:
        started = time.monotonic()
        await api.list_env_vars(bench.reach)
        return time.monotonic() - started

    return through_the_tool, by_the_api


def connections_looked_at(bench: Bench) -> Measure:
    """Return looking at the connections, for which nobody else is asked."""

    async def through_the_tool() -> float:
        started = time.monotonic()
        result = await bench.client.call_tool("get_connection", {})
        assert not result.is_error, result.content
        return time.monotonic() - started

    return through_the_tool


async def decryption() -> float:
    """Return the time to decrypt a credential, of a thousand."""
    cipher = Cipher(KeyRing((SecretBytes(os.urandom(32)),)))
    place = ("targets", "credential", "local", "chat")
    sealed = [cipher.seal(f"dev:otter-{number}|{'0' * 400}", place) for number in range(_CREDENTIALS)]
    started = time.monotonic()
    for each in sealed:
        assert cipher.open(each, place).startswith("dev:")
    return (time.monotonic() - started) / _CREDENTIALS


async def waiting() -> tuple[float, float]:
    """Return the memory in MB of the CLI that waits for the next push, and the ms a second that it computes."""
    await asyncio.sleep(_SECONDS_TO_LOAD)
    (cli,) = [process for process in psutil.Process().children(recursive=True) if _is_cli(process.cmdline())]
    before = sum(cli.cpu_times()[:2])
    await asyncio.sleep(_SECONDS_OF_WAITING)
    spent = sum(cli.cpu_times()[:2]) - before
    return cli.memory_full_info().pss / 1e6, 1000 * spent / _SECONDS_OF_WAITING


def _is_cli(command: Sequence[str]) -> bool:
    return command[0].endswith("node") and any(part.endswith("cli.bundle.cjs") for part in command)


async def memory(bench: Bench) -> tuple[float, float]:
    """Return this process's resident memory in MB after 5 and after 50 pushes."""
    push = pushes(bench)[0]
    taken = []
    for rounds in (5, 45):
        for _ in range(rounds):
            await push()
        taken.append(psutil.Process().memory_info().rss / 1e6)
    return taken[0], taken[1]
