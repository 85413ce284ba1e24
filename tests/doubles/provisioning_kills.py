"""
A process that has the making of projects killed at its steps: `provisioning_kills.py FOLDER HOST STRIDE`.

For each step it forks a child, which makes a project in a workspace of its own below FOLDER and
kills itself (SIGKILL) there, until one comes to its end; of all steps, every STRIDEth is tried. A
step is a call of the code that provisions or stores, a return from it, or a wait for an answer.
It prints the names of the projects whose makers were killed.
"""

from __future__ import annotations

import os
import signal
import sys
from itertools import count
from pathlib import Path
from types import FrameType

import anyio

import mcp_convex
from mcp_convex.domain.models import WorkspaceId
from mcp_convex.store import open_data_dir, store
from tests.doubles.provisioning import place

OURS = tuple(
    str(Path(mcp_convex.__file__).parent / part)
    for part in (
        "store/",
        "services/provisioning.py",
        "services/env_file.py",
        "services/targets.py",
        "convex_api/http.py",
    )
)
assert store


async def make(folder: Path, host: str, name: str, last: int) -> None:
    """Make the project *name*, and kill this process at the step *last*."""
    steps = count(1)

    def on_call(frame: FrameType, event: str, _arg: object) -> None:
        if event in {"call", "return"} and frame.f_code.co_filename.startswith(OURS) and next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    async with (
        open_data_dir(folder / "data") as opened,
        place(opened, folder / name, host, workspace=WorkspaceId(name)) as here,
    ):
        sys.setprofile(on_call)
        await here.projects.create_project(name)
        sys.setprofile(None)


def main(folder: Path, host: str, stride: int) -> None:
    for step in count(1, stride):
        name = f"shop-{step}"
        child = os.fork()
        if not child:
            anyio.run(make, folder, host, name, step)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))
        print(name, flush=True)  # noqa: T201


main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
