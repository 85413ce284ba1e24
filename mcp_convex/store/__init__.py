"""What outlives the process, in one database: credentials, targets, files, pushes, snapshots, leases, the audit."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread
from pydantic import SecretBytes, SecretStr

from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.store.files import shared
from mcp_convex.store.keys import DATABASE_FILE, KeyRing, add_key, drop_older_keys, open_key_ring

if TYPE_CHECKING:
    from mcp_convex.store.store import Store

__all__ = ["KeyRing", "open_data_dir", "open_key_ring", "open_store", "rotate_keys"]


@asynccontextmanager
async def open_store(place: Path | SecretStr, ring: KeyRing, *, connections: int = 10) -> AsyncGenerator[Store]:
    """
    Open the store in the SQLite file, or in the PostgreSQL database, *place*, and close it on leaving.

    A file that is not there is made, an older schema is upgraded; anything else that is wrong with it is left alone.

    Args:
        connections: How many there are to PostgreSQL at most.

    Raises:
        DirectoryUnusable: The file cannot be made, read or written.
        DiskFull: There is no space for it.
        StoreCorrupt: It is damaged, of a newer version, or not a store.
        StoreUnreachable: The server is away.
        SettingsInvalid: The URL leads nowhere, to an old server, or to one that does not accept it.
    """
    # SQLAlchemy takes a quarter of a second to import: only who opens a store waits, and the event loop does not.
    opened = await anyio.to_thread.run_sync(_load)
    async with opened(place, ring, connections) as store:
        yield store


@asynccontextmanager
async def open_data_dir(
    data_dir: Path, given: Sequence[SecretBytes] = (), *, url: SecretStr | None = None, connections: int = 10
) -> AsyncGenerator[Store]:
    """
    Open the store in *data_dir*, or at *url*, with the keys that are *given* and those of the key file in *data_dir*.

    Raises:
        StoreInUse: Its keys are being rotated.
        ConvexMcpError: As `open_key_ring` and `open_store` say.
    """
    with shared(data_dir):
        ring = _key_ring(data_dir, given, url)
        async with open_store(url or data_dir / DATABASE_FILE, ring, connections=connections) as store:
            yield store


async def rotate_keys(data_dir: Path, given: Sequence[SecretBytes] = (), *, url: SecretStr | None = None) -> int:
    """
    Encrypt every credential in *data_dir*, or at *url*, anew, and return how many there are.

    Where no keys are *given*, a new one takes the place of those in the key file. It may end
    at any moment: each credential can be decrypted with the keys that are there then.

    Raises:
        StoreInUse: Another process has the store open; it would go on with the former key.
        ConvexMcpError: As `open_key_ring` and `open_store` say.
    """
    # Servers on PostgreSQL go on meanwhile: they were given the newest key before.
    with shared(data_dir, alone=url is None):
        if not given and url is None:
            add_key(data_dir)
        async with open_store(url or data_dir / DATABASE_FILE, _key_ring(data_dir, given, url)) as store:
            count = await store.rotate()
        if not given:
            drop_older_keys(data_dir)
    return count


def _key_ring(data_dir: Path, given: Sequence[SecretBytes], url: SecretStr | None) -> KeyRing:
    if url is not None and not given:
        raise SettingsInvalid(
            "Servers that share a database have to share the keys that encrypt it.",
            next_step="Set MCP_CONVEX_ENCRYPTION_KEYS, such as to what `openssl rand -base64 32` says, for all.",
        )
    return open_key_ring(data_dir, given)


def _load() -> Callable[[Path | SecretStr, KeyRing, int], AbstractAsyncContextManager[Store]]:
    from mcp_convex.store.store import opened  # noqa: PLC0415 - see above

    return opened
