"""Turns what the file system refuses into errors that say who must act."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from mcp_convex.domain.errors import DirectoryUnusable, DiskFull

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def translated(place: Path) -> Generator[None]:
    """Turn an `OSError` about a file at or below *place* into a `SandboxError`."""
    try:
        yield
    except OSError as exc:
        if exc.errno in _FULL:
            raise DiskFull(
                f"The disk that holds `{place}` is full. Nothing was changed.",
                next_step="Ask the person to free some space, then make the same call again.",
            ) from exc
        # Of a rename it is the new name that says something to the person.
        raise DirectoryUnusable(
            f"`{exc.filename2 or exc.filename or place}` cannot be used: {exc.strerror or type(exc).__name__}.",
            next_step="Ask the person to make the directory readable and writable for this server.",
        ) from exc
