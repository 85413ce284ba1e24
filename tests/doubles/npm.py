"""Packages from npm that tests check ours against, each with its lock, installed once a machine."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

CACHE = Path.home() / ".cache" / "mcp-convex-tests"
PACKAGE_FILES = ("package.json", "package-lock.json")
INSTALL_TIMEOUT_S = 600

_LOCKED = Path(__file__).parent / "packages"


def installed(package: str) -> Path:
    """Return a folder whose `node_modules` holds *package*, such as `jose@6.1.0`, as it is locked in `packages/`."""
    return installed_from(_LOCKED / package.replace("/", "+"))


def installed_from(locked: Path) -> Path:
    """Return a folder whose `node_modules` holds what the lock in *locked* names, installed if it was not yet."""
    lock = (locked / "package-lock.json").read_bytes()
    folder = CACHE / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / ".ready").exists():
            _install(locked, folder)
            (folder / ".ready").touch()
    return folder


def _install(locked: Path, folder: Path) -> None:
    for name in PACKAGE_FILES:
        shutil.copy(locked / name, folder / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=INSTALL_TIMEOUT_S)  # noqa: S603
