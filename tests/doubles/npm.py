"""Packages from npm that tests check ours against, installed once a machine."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

from tests.doubles.projects import CACHE, INSTALL_TIMEOUT_S


def installed(package: str) -> Path:
    """Return a folder whose `node_modules` holds *package*, such as `jose@6.1.0`, installed if it was not yet."""
    folder = CACHE / package.replace("/", "+")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / ".ready").exists():
            command = [
                "npm",
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(folder),
                package,
            ]
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)  # noqa: S603
            (folder / ".ready").touch()
    return folder
