"""What outlives the process: targets with their admin keys, leases and pushes, in a database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
from pydantic import SecretBytes

from mcp_convex.store.files import shared
from mcp_convex.store.keys import DATABASE_FILE, KeyRing, add_key, drop_older_keys, open_key_ring

if TYPE_CHECKING:
    from mcp_convex.store.store import Store

__all__ = ["KeyRing", "open_data_dir", "open_key_ring", "open_store", "rotate_keys"]


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


@asynccontextmanager
async def open_data_dir(data_dir: Path, given: Sequence[SecretBytes] = ()) -> AsyncGenerator[Store]:
    """
    Open the store in *data_dir* with the keys that are *given* and those of its key file.

    Raises:
        StoreInUse: Its keys are being rotated.
        ConvexMcpError: As `open_key_ring` and `open_store` say.
    """
    with shared(data_dir):
        async with open_store(data_dir / DATABASE_FILE, open_key_ring(data_dir, given)) as store:
            yield store


async def rotate_keys(data_dir: Path, given: Sequence[SecretBytes] = ()) -> int:
    """
    Encrypt every credential in *data_dir* anew, and return how many there are.

    Where no keys are *given*, a new one takes the place of those in the key file. It may end
    at any moment: each credential can be decrypted with the keys that are there then.

    Raises:
        StoreInUse: Another process has the store open; it would go on with the former key.
        ConvexMcpError: As `open_key_ring` and `open_store` say.
    """
    with shared(data_dir, alone=True):
        if not given:
            add_key(data_dir)
        async with open_store(data_dir / DATABASE_FILE, open_key_ring(data_dir, given)) as store:
            count = await store.rotate()
        if not given:
            drop_older_keys(data_dir)
    return count


def _load() -> Callable[[Path | str, KeyRing], AbstractAsyncContextManager[Store]]:
    from mcp_convex.store.store import opened  # noqa: PLC0415 - see above

    return opened
