"""Sandboxes at a loopback E2B beside directories: what the relay costs a push, and many sandboxes at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path

from mcp import Client

from benchmarks.measures import Measure
from benchmarks.projects import sources
from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Command
from mcp_convex.server import build_server
from mcp_convex.settings import Settings, load
from mcp_convex.store import open_data_dir
from tests.doubles.e2b.cloud import API_KEY, E2BCloud
from tests.doubles.e2b.opening import loopback_e2b, open_sandbox

_SANDBOXES = 20
_FILES = 50
_TICK_S = 0.005


@asynccontextmanager
async def pushes_in_both(folder: Path) -> AsyncGenerator[tuple[Measure, Measure]]:
    """Yield a push in a sandbox at E2B, and the same in a directory; neither finds a CLI waiting."""
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(loopback_e2b(folder / "boxes"))
        measures = []
        for name, flags in (("sandbox", _at(cloud)), ("directory", {})):
            client = await stack.enter_async_context(Client(build_server(_settings(folder / name, flags))))
            await _write(client, sources())
            await client.call_tool("push", {})
            measures.append(_pushing(client))
        yield measures[0], measures[1]


async def many_at_once(folder: Path) -> float:
    """Start many sandboxes with their files at once, and return the longest that the event loop stood still, in s."""
    stood_still: list[float] = []
    async with loopback_e2b(folder / "many") as cloud, open_data_dir(folder / "many-data") as store:

        async def start(number: int) -> None:
            sandbox = open_sandbox(cloud, store, f"workspace-{number}")
            await sandbox.write(
                {FilePath(f"convex/f{file}.ts"): b"export const a = 1;\n" * 50 for file in range(_FILES)}
            )
            await sandbox.ensure(_no_progress)
            ended = await sandbox.exec(Command(["ls", "convex"], 60), on_output=lambda _: None)
            assert len(ended.output.split()) == _FILES + 1

        watching = asyncio.create_task(_watch(stood_still))
        await asyncio.gather(*map(start, range(_SANDBOXES)))
        watching.cancel()
    return max(stood_still)


def _pushing(client: Client) -> Measure:
    rounds = count()

    async def push() -> float:
        texts = sources()
        await _write(client, {"convex/people.ts": f"{texts['convex/people.ts']}export const round = {next(rounds)};\n"})
        started = time.monotonic()
        result = await client.call_tool("push", {})
        assert result.structured_content["outcome"] == "pushed", result.content
        return time.monotonic() - started

    return push


async def _write(client: Client, files: dict[str, str]) -> None:
    changes = [{"path": path, "content": text} for path, text in files.items()]
    await client.call_tool("write_files", {"changes": changes})


async def _watch(stood_still: list[float]) -> None:
    while True:
        began = time.monotonic()
        await asyncio.sleep(_TICK_S)
        stood_still.append(time.monotonic() - began - _TICK_S)


async def _no_progress(_: str) -> None:
    pass


def _at(cloud: E2BCloud) -> dict[str, str | bool]:
    return {"sandbox": "e2b", "e2b_api_url": cloud.url, "e2b_sandbox_url": cloud.url}


def _settings(folder: Path, flags: dict[str, str | bool]) -> Settings:
    (folder / "app").mkdir(parents=True)
    places = {"workspace": str(folder / "app"), "data_dir": str(folder / "data")}
    return load({**places, **flags, "armed_pushes": False}, {"E2B_API_KEY": API_KEY})
