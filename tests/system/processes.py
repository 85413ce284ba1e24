"""The processes of this machine that belong to one test, told by the folder that they work in."""

from __future__ import annotations

import os
from pathlib import Path

import anyio


def running(folder: Path) -> dict[int, str]:
    """Return the processes, but for this one, that name *folder*: on their command line, or as their place."""
    found: dict[int, str] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            place = os.readlink(process / "cwd")  # noqa: PTH115 - it may be gone, and then is no path
        except OSError:
            continue
        if int(process.name) != os.getpid() and (str(folder).encode() in told or place.startswith(str(folder))):
            found[int(process.name)] = told.split(b"\0", 1)[0].decode(errors="replace")
    return found


async def until_gone(folder: Path) -> None:
    """Return once nothing runs that belongs to *folder*."""
    with anyio.fail_after(60):
        while running(folder):  # noqa: ASYNC110 - other processes send no events
            await anyio.sleep(0.02)
