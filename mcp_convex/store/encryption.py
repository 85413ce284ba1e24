"""AES-256-GCM over single values: the only place where a stored credential is readable or made unreadable."""

from __future__ import annotations

import hashlib
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mcp_convex.domain.errors import StoreCorrupt
from mcp_convex.store.keys import KeyRing

_KEY_ID_BYTES = 8
_NONCE_BYTES = 12

Place = tuple[str, ...]
"""Where a value belongs: table, column, and the record's key, which begins with its principal."""


class Cipher:
    """
    Encrypts with the newest key of a ring, decrypts with any.

    A sealed value is the id of its key, a nonce, and the ciphertext with its tag. Its *place*
    is authenticated with it, so that it opens nowhere else: a row copied to another principal is refused.
    """

    def __init__(self, ring: KeyRing) -> None:
        keys = [key.get_secret_value() for key in ring.keys]
        self._newest = _id(keys[0])
        self._keys = {_id(key): AESGCM(key) for key in keys}

    def seal(self, value: str, place: Place) -> bytes:
        """Return *value* encrypted for *place*."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._newest + nonce + self._keys[self._newest].encrypt(nonce, value.encode(), _associated(place))

    def open(self, sealed: bytes, place: Place) -> str:
        """
        Return the value that was sealed for *place*.

        Raises:
            StoreCorrupt: Its key is not in the ring, or it was altered, or sealed for another place.
        """
        key = self._keys.get(sealed[:_KEY_ID_BYTES])
        if key is None:
            raise StoreCorrupt(
                "A stored credential was encrypted with a key that is not at hand.",
                next_step="Put the former key back, last in MCP_CONVEX_ENCRYPTION_KEYS or as the key file.",
            )
        nonce, ciphertext = sealed[_KEY_ID_BYTES:][:_NONCE_BYTES], sealed[_KEY_ID_BYTES + _NONCE_BYTES :]
        try:
            return key.decrypt(nonce, ciphertext, _associated(place)).decode()
        except (InvalidTag, ValueError) as exc:
            raise StoreCorrupt(
                "A stored credential was altered, or belongs to another record.",
                next_step="Restore the store from a backup, or run `mcp-convex connect` again.",
            ) from exc

    def seal_bytes(self, data: bytes, place: Place) -> bytes:
        """Return *data* encrypted for *place*."""
        # As text, since all sealed values are rotated alike. Latin-1 has a character for every byte.
        return self.seal(data.decode("latin-1"), place)

    def open_bytes(self, sealed: bytes, place: Place) -> bytes:
        """
        Return the data that was sealed for *place*.

        Raises:
            StoreCorrupt: As `open` says.
        """
        return self.open(sealed, place).encode("latin-1")


def _id(key: bytes) -> bytes:
    return hashlib.sha256(b"mcp-convex key id\0" + key).digest()[:_KEY_ID_BYTES]


def _associated(place: Place) -> bytes:
    # JSON, since plain joining would make ("a", "bc") and ("ab", "c") one place.
    return json.dumps(place).encode()
