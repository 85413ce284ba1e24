"""Small files that survive a kill at any moment: written aside, synced, renamed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from mcp_convex.domain.errors import DirectoryUnusable, DiskFull, StoreCorrupt

PRIVATE = 0o600


def write(path: Path, content: bytes) -> None:
    """
    Replace the file at *path*, for its owner only; a reader sees the old content or the new, never a part.

    Raises:
        DiskFull: There is no space for it.
        DirectoryUnusable: It cannot be written for another reason.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _sync_folder(path.parent)
    except OSError as exc:
        raise unusable(path, exc) from exc


def write_json(path: Path, value: Any) -> None:
    """Replace the file at *path* by *value* as JSON."""
    write(path, json.dumps(value, separators=(",", ":")).encode())


def read_json(path: Path) -> Any:
    """
    Return what `write_json` wrote to *path*, or None where there is no such file.

    Raises:
        StoreCorrupt: It is there and is no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as exc:
        raise unreadable(path) from exc


def make_folder(path: Path) -> Path:
    """
    Create the folder at *path*, for its owner only, unless it is there.

    Raises:
        DirectoryUnusable: It cannot be created.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise unusable(path, exc) from exc
    return path


def unreadable(path: Path) -> StoreCorrupt:
    """Return the error for a file that does not say what it should."""
    return StoreCorrupt(
        f"The embedded deployment's file `{path}` cannot be read.",
        next_step="Move the file away; what it said is lost, the other files of the deployment are not.",
    )


def unusable(path: Path, exc: OSError) -> DirectoryUnusable | DiskFull:
    """Return the error for a write to *path* that failed by *exc*."""
    if exc.errno == errno.ENOSPC:
        return DiskFull(
            f"There is no space left to write `{path}`.", next_step="Free space on the disk, then try again."
        )
    return DirectoryUnusable(
        f"The embedded deployment cannot keep its files in `{path}`: {exc.strerror}.",
        next_step="Name a directory that can be written, in MCP_CONVEX_DATA_DIR.",
    )


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
