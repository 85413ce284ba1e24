"""Files that nobody but this account may read, and what the operating system says of them in our errors."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcp_convex.domain.errors import DirectoryUnusable, DiskFull, StoreInUse

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def accessible(path: Path) -> Generator[None]:
    """Turn an `OSError` about *path* inside the block into `DiskFull` or `DirectoryUnusable`."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise DiskFull(
                f"There is no space left for `{path}`.", next_step="Free some space and start again."
            ) from exc
        # What says that a folder to be made exists has found something else in its place.
        why = errno.ENOTDIR if exc.errno == errno.EEXIST else exc.errno or errno.EIO
        raise DirectoryUnusable(
            f"`{path}` cannot be used: {os.strerror(why)}.",
            next_step="Make its directory writable for this account, or set MCP_CONVEX_DATA_DIR to another.",
        ) from exc


def make_private(path: Path, fill: Callable[[Path], object]) -> None:
    """
    Make *path* as *fill* fills an empty file, whole or not at all; leave what is there already.

    Raises:
        DirectoryUnusable: It cannot be made.
        DiskFull: There is no space for it.
    """
    with accessible(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            return
        with _drafted(path, fill) as draft, suppress(FileExistsError):
            # A link, unlike a rename, does not replace what another process has made in the meantime.
            path.hardlink_to(draft)


def replace_private(path: Path, content: bytes) -> None:
    """
    Have *path* hold *content*, whole or not at all, also when the power fails; nobody else may do so meanwhile.

    Raises:
        DirectoryUnusable: It cannot be written.
        DiskFull: There is no space for it.
    """
    with accessible(path):
        for left_by_a_kill in path.parent.glob(f".{path.name}.*"):
            left_by_a_kill.unlink()
        with _drafted(path, lambda draft: draft.write_bytes(content)) as draft:
            draft.replace(path)
        _keep(path.parent)


@contextmanager
def shared(folder: Path, *, alone: bool = False) -> Generator[None]:
    """
    Use *folder*, made if it was not there, together with others that do, or *alone*, until the block ends.

    Raises:
        DirectoryUnusable: It cannot be made or opened.
        StoreInUse: Another process uses it, and one of the two wants to be alone.
    """
    with accessible(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder, alone=alone)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path, *, alone: bool) -> None:
    with accessible(folder):
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            others = "End every mcp-convex with this data directory" if alone else "Wait until its keys are rotated"
            raise StoreInUse(
                f"Another mcp-convex uses the store in `{folder}`.", next_step=f"{others}, and try again."
            ) from exc


def exists(path: Path) -> bool:
    """Say whether there is something at *path*."""
    with accessible(path):
        return path.exists()


def check_usable(path: Path) -> None:
    """
    Make sure that this account may read and write the file *path*.

    Raises:
        DirectoryUnusable: It may not, or *path* is not a file.
    """
    with accessible(path):
        path.open("r+b").close()


def is_private(path: Path) -> bool:
    """Say whether only this account may read and write *path*."""
    with accessible(path):
        return not path.stat().st_mode & _OTHERS


@contextmanager
def _drafted(path: Path, fill: Callable[[Path], object]) -> Generator[Path]:
    """Lend a file beside *path* that *fill* has filled, and that is on the disk."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        draft.touch(mode=0o600, exist_ok=False)
        fill(draft)
        _keep(draft)
        yield draft
    finally:
        draft.unlink(missing_ok=True)


def _keep(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
