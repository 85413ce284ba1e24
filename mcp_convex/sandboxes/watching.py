"""Notices that the sources below a directory change, by whatever hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import anyio
import anyio.to_thread

from mcp_convex.domain.errors import DirectoryUnusable
from mcp_convex.sandboxes.sources import find_sources

_GENERATED = "_generated"
_STEP_MS = 50
_LATE_MS = 1_000
"""After this long a watch has surely begun: what was written while it began is then looked for."""
_POLL_MS = 1_000


async def changes_below(root: Path) -> AsyncGenerator[None]:
    """Yield at first, and then whenever sources below *root* may have changed, until it is closed."""
    loop = asyncio.get_running_loop()
    noticed, stop = asyncio.Event(), threading.Event()
    # A thread of its own: those that asyncio has for all would be used up by a few dozen watches.
    watch = threading.Thread(
        target=_watch, args=(root, lambda: loop.call_soon_threadsafe(noticed.set), stop), name="watch", daemon=True
    )
    watch.start()
    try:
        while True:
            yield
            await noticed.wait()
            noticed.clear()
    finally:
        stop.set()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(watch.join)


def _watch(root: Path, notice: Callable[[], None], stop: threading.Event) -> None:
    """Call *notice* at each change until *stop* is set, of folders that come later as well."""
    polls = None
    while not stop.is_set():
        try:
            _watch_folders(_folders(root), notice, stop, polls=polls)
        except FileNotFoundError:  # a folder has gone meanwhile
            stop.wait(_STEP_MS / 1000)
        except (OSError, RuntimeError, DirectoryUnusable):
            # The system's watches are used up, or there is none for this file system.
            polls = True
            stop.wait(_POLL_MS / 1000)


def _watch_folders(folders: set[str], notice: Callable[[], None], stop: threading.Event, *, polls: bool | None) -> None:
    """Watch *folders* until one that is not among them appears."""
    from watchfiles import Change, watch  # noqa: PLC0415 - most servers never watch

    is_late = True
    for changes in watch(
        *folders,
        watch_filter=None,
        step=_STEP_MS,
        stop_event=stop,
        rust_timeout=_LATE_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
        force_polling=polls,
        poll_delay_ms=_POLL_MS,
        recursive=False,  # it would watch each folder of each package too
        ignore_permission_denied=True,
    ):
        if is_late or any(_counts(Path(path)) for _, path in changes):
            notice()
        is_late = False
        if any(change is Change.added and _counts(Path(path)) and Path(path).is_dir() for change, path in changes):
            return


def _folders(root: Path) -> set[str]:
    found = find_sources(root).folders
    return {str(root / folder) for folder in found if _GENERATED not in folder.split("/")}


def _counts(path: Path) -> bool:
    return not path.name.startswith(".") and path.name not in {_GENERATED, "node_modules"}
