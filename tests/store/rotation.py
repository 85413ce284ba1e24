"""
A process that has rotations of keys killed at their steps: `rotation.py TEMPLATE FOLDER STRIDE`.

For each step it copies the data directory TEMPLATE below FOLDER and forks a child, which kills
itself (SIGKILL) there, until one comes to its end; of all steps, every STRIDEth is tried. A step is
a call of the store's own code, a return from it, or what the interpreter audits of files and databases.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path
from types import FrameType

import anyio

import mcp_convex.store
from mcp_convex.store import rotate_keys, store

OURS = str(Path(mcp_convex.store.__file__).parent)
FILE_EVENTS = {"os.rename", "os.remove", "os.chmod", "fcntl.flock", "sqlite3.connect"}
assert store


def rotate_until(step: int, data_dir: Path) -> None:
    """Rotate in this process, and kill it at *step*."""
    steps = count(1)

    def next_step() -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_call(frame: FrameType, event: str, _arg: object) -> None:
        if event in {"call", "return"} and frame.f_code.co_filename.startswith(OURS):
            next_step()

    def on_audit(event: str, _args: tuple[object, ...]) -> None:
        if event in FILE_EVENTS:
            next_step()

    sys.addaudithook(on_audit)
    sys.setprofile(on_call)
    anyio.run(rotate_keys, data_dir)
    os._exit(0)


def main(template: Path, folder: Path, stride: int) -> None:
    for step in count(1, stride):
        data_dir = folder / f"{step:04}"
        shutil.copytree(template, data_dir)
        child = os.fork()
        if not child:
            rotate_until(step, data_dir)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            sys.exit(os.WEXITSTATUS(status))


main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
