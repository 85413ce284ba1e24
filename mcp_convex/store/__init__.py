"""What outlives the process: targets with their admin keys, leases and pushes, in a database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from mcp_convex.store.keys import DATABASE_FILE, KeyRing, open_key_ring

if TYPE_CHECKING:
    from mcp_convex.store.store import Store

__all__ = ["DATABASE_FILE", "KeyRing", "open_key_ring", "open_store"]


@asynccontextmanager
async def open_store(database: Path | str, ring: KeyRing) -> AsyncGenerator[Store]:
    """
    Open the store in the SQLite file *database*, or at the SQLAlchemy URL *database*, and close it on leaving.

    A file that is not there is made, an older schema is upgraded; anything else that is wrong with it is left alone.

    Raises:
        DirectoryUnusable: The file cannot be made, read or written.
        DiskFull: There is no space for it.
        StoreCorrupt: It is damaged, of a newer version, or not a store.
    """
    # SQLAlchemy takes a quarter of a second to import: only who opens a store waits, and the event loop does not.
    opened = await anyio.to_thread.run_sync(_load)
    async with opened(database, ring) as store:
        yield store


def _load() -> Callable[[Path | str, KeyRing], AbstractAsyncContextManager[Store]]:
    from mcp_convex.store.store import opened  # noqa: PLC0415 - see above

    return opened
