"""Where the keys come from that encrypt stored credentials."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretBytes

from mcp_convex.domain.errors import DirectoryUnusable, StoreCorrupt
from mcp_convex.store.files import accessible, exists, is_private, make_private, replace_private

KEY_FILE = "store.key"
DATABASE_FILE = "store.db"
KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class KeyRing:
    """AES-256 keys, newest first: the first one encrypts, each of them decrypts."""

    keys: tuple[SecretBytes, ...]

    def derived(self, purpose: str) -> bytes:
        """Return the key for *purpose* that the newest one yields, and that tells nothing of it."""
        return hashlib.blake2b(purpose.encode(), key=self.keys[0].get_secret_value(), digest_size=KEY_BYTES).digest()


def open_key_ring(data_dir: Path, given: Sequence[SecretBytes] = ()) -> KeyRing:
    """
    Return the keys that the operator has *given*, then those of the key file in *data_dir*.

    Where there are neither, a key file is made. That of an earlier start still decrypts after keys were given.

    Raises:
        DirectoryUnusable: The key file cannot be made or read, or others may read it.
        DiskFull: There is no space for it.
        StoreCorrupt: The key file is damaged, or it is gone while its store is there.
    """
    path = data_dir / KEY_FILE
    if not given and not exists(path):
        _make(path)
    return KeyRing((*given, *(_read(path) if exists(path) else ())))


def add_key(data_dir: Path) -> None:
    """Put a new key at the head of the key file: it encrypts from now on, and the others still decrypt."""
    _write(data_dir / KEY_FILE, (_new_key(), *open_key_ring(data_dir).keys))


def drop_older_keys(data_dir: Path) -> None:
    """Keep only the newest key of the key file, once it has encrypted everything."""
    _write(data_dir / KEY_FILE, open_key_ring(data_dir).keys[:1])


def _write(path: Path, keys: Sequence[SecretBytes]) -> None:
    replace_private(path, b"".join(_line(key) for key in keys))


def _line(key: SecretBytes) -> bytes:
    return base64.b64encode(key.get_secret_value()) + b"\n"


def _new_key() -> SecretBytes:
    return SecretBytes(os.urandom(KEY_BYTES))


def _make(path: Path) -> None:
    if exists(path.with_name(DATABASE_FILE)):
        raise StoreCorrupt(
            f"The store's key file `{path}` is gone.",
            next_step=f"Put it back from a backup or set MCP_CONVEX_ENCRYPTION_KEYS; else move `{DATABASE_FILE}` away.",
        )
    make_private(path, lambda draft: draft.write_bytes(_line(_new_key())))


def _read(path: Path) -> tuple[SecretBytes, ...]:
    if not is_private(path):
        raise DirectoryUnusable(
            f"Others than this account may read the key file `{path}`.",
            next_step=f"Run `chmod 600 {path}`; if others had access, replace the keys too.",
        )
    with accessible(path):
        lines = path.read_bytes().split()
    try:
        keys = tuple(SecretBytes(base64.b64decode(line, validate=True)) for line in lines)
    except ValueError:
        keys = ()
    if not keys or any(len(key) != KEY_BYTES for key in keys):
        raise StoreCorrupt(
            f"The key file `{path}` is damaged: it should hold keys of {KEY_BYTES} bytes in base64, one a line.",
            next_step="Put it back from a backup; nothing was changed.",
        )
    return keys
