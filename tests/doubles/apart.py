"""Serves a loopback E2B and deployments in a process of its own, on processors of their own where there are several."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from mcp_convex.domain.ports import Reach
from tests.doubles.deployment import fake_deployment, reach_of
from tests.doubles.e2b.opening import loopback_e2b


@dataclass(frozen=True)
class Apart:
    e2b_url: str
    deployments: list[Reach]


@contextmanager
def served_apart(folder: Path, deployments: int) -> Iterator[Apart]:
    """Serve so many *deployments* and an E2B for the block, which keeps one processor to itself."""
    processors = sorted(os.sched_getaffinity(0))
    command = [sys.executable, "-m", __name__, str(folder), str(deployments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own program
        assert process.stdin is not None
        assert process.stdout is not None
        os.sched_setaffinity(process.pid, processors[1:] or processors)
        os.sched_setaffinity(0, processors[:1])
        try:
            url, *others = json.loads(process.stdout.readline())
            yield Apart(url, [reach_of(other) for other in others])
        finally:
            os.sched_setaffinity(0, processors)
            process.stdin.close()


async def _main(folder: Path, deployments: int) -> None:
    async with AsyncExitStack() as stack:
        cloud = await stack.enter_async_context(loopback_e2b(folder))
        others = [await stack.enter_async_context(fake_deployment()) for _ in range(deployments)]
        print(json.dumps([cloud.url, *(other.url for other in others)]), flush=True)  # noqa: T201
        await anyio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    anyio.run(_main, Path(sys.argv[1]), int(sys.argv[2]))
