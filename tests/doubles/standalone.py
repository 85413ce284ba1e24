"""Serves an embedded deployment in a process of its own, and prints its URL once it answers."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio

from mcp_convex.domain.ports import Reach
from mcp_convex.embedded import LocalEmbeddedDeployments, serve
from tests.doubles.embedded import WORKSPACE
from tests.doubles.plain_launcher import PlainLauncher


def _ready(reach: Reach) -> None:
    print(reach.target.url, flush=True)  # noqa: T201


async def _main(data_dir: Path) -> None:
    await serve(LocalEmbeddedDeployments(data_dir, PlainLauncher()), WORKSPACE, _ready)


if __name__ == "__main__":
    anyio.run(_main, Path(sys.argv[1]))
