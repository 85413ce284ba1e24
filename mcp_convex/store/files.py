"""Files that nobody but this account may read, and what the operating system says of them in our errors."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcp_convex.domain.errors import DirectoryUnusable, DiskFull

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
        raise DirectoryUnusable(
            f"`{path}` cannot be used: {os.strerror(exc.errno or errno.EIO)}.",
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
        draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            draft.touch(mode=0o600, exist_ok=False)
            fill(draft)
            _keep(draft)
            # A link, unlike a rename, does not replace what another process has made in the meantime.
            with suppress(FileExistsError):
                path.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)


def exists(path: Path) -> bool:
    """Say whether there is something at *path*."""
    with accessible(path):
        return path.exists()


def check_usable(path: Path) -> None:
    """
    Return if this account may read and write the file *path*.

    Raises:
        DirectoryUnusable: It may not, or *path* is no file.
    """
    with accessible(path):
        path.open("r+b").close()


def is_private(path: Path) -> bool:
    """Say whether only this account may read and write *path*."""
    with accessible(path):
        return not path.stat().st_mode & _OTHERS


def _keep(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
