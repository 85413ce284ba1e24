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
from mcp_convex.server import build_server
from mcp_convex.settings import Settings, load
from tests.doubles.apart import served_apart
from tests.doubles.e2b.cloud import API_KEY, E2BCloud
from tests.doubles.e2b.opening import loopback_e2b
from tests.doubles.hosting import hosted, hosted_settings, tokens_file
from tests.world import World

_SANDBOXES = 20
_FILES = 50
_TICK_S = 0.005
_SCHEDULED = Path("/proc/thread-self/schedstat")


@asynccontextmanager
async def pushes_in_both(folder: Path) -> AsyncGenerator[tuple[Measure, Measure]]:
    """Yield a push in a sandbox at E2B, and the same in a directory; neither finds a CLI waiting."""
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(loopback_e2b(folder / "boxes"))
        measures: list[Measure] = []
        for name, flags in (("sandbox", _at(cloud)), ("directory", {})):
            client = await stack.enter_async_context(Client(build_server(_settings(folder / name, flags))))
            await _write(client, sources())
            await client.call_tool("push", {})
            measures.append(_pushing(client))
        yield measures[0], measures[1]


async def many_at_once(folder: Path) -> tuple[int, float]:
    """
    Have many principals write and push at once, each in a sandbox.

    What is elsewhere in earnest, the sandboxes and the deployments, is in a process of its own.

    Returns:
        How many failed, and the longest that the event loop stood still, in seconds.
    """
    folder.joinpath("many").mkdir()
    file, tokens = tokens_file(folder / "many", *(f"principal-{number}" for number in range(_SANDBOXES)))
    with served_apart(folder / "boxes-apart", len(tokens)) as apart:
        at = {"sandbox": "e2b", "e2b_api_url": apart.e2b_url, "e2b_sandbox_url": apart.e2b_url}
        flags = {"tokens_file": str(file), "pushes": str(len(tokens)), **at}
        settings = hosted_settings(folder / "many", {"E2B_API_KEY": API_KEY}, **flags)
        async with AsyncExitStack() as stack:
            host = await stack.enter_async_context(hosted(settings, tokens))
            for name, reach in zip(tokens, apart.deployments, strict=True):
                await host.link(f"tokens-file {name}", reach)
            worlds = [await stack.enter_async_context(host.client(token)) for token in tokens.values()]
            stood_still: list[float] = []
            watching = asyncio.create_task(_watch(stood_still))
            went_well = await asyncio.gather(*map(_write_and_push, worlds))
            watching.cancel()
    return went_well.count(False), max(stood_still)


async def _write_and_push(world: World) -> bool:
    more = {f"convex/f{number}.ts": _text(number) for number in range(_FILES)}
    await _write(world.client, {**sources(), **more})
    pushed = (await world.call("push")).structured_content
    return ("pushed", []) == (pushed.get("outcome"), pushed.get("notes"))


def _text(number: int) -> str:
    lines = "".join(f"  'line {line} of {number}',\n" for line in range(50))
    return f"export const lines = [\n{lines}];\n"


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
        began, waited_s = time.monotonic(), _waited_s()
        await asyncio.sleep(_TICK_S)
        stood_still.append(time.monotonic() - began - _TICK_S - (_waited_s() - waited_s))


def _waited_s() -> float:
    """Return how long this thread could have run, and other programs had the processor."""
    try:
        return int(_SCHEDULED.read_text().split()[1]) / 1e9
    except OSError:  # not Linux
        return 0.0


def _at(cloud: E2BCloud) -> dict[str, str | bool]:
    return {"sandbox": "e2b", "e2b_api_url": cloud.url, "e2b_sandbox_url": cloud.url}


def _settings(folder: Path, flags: dict[str, str | bool]) -> Settings:
    (folder / "app").mkdir(parents=True)
    places = {"workspace": str(folder / "app"), "data_dir": str(folder / "data")}
    return load({**places, **flags, "armed_pushes": False}, {"E2B_API_KEY": API_KEY})
