"""What a browser keeps for this server, sealed: only the server can have made it, for one use, and not long ago."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import jwt

_SKEW_S = 60
"""Seconds by which the clocks of servers may differ that share the keys. A ticket ends by the database's clock, too."""


class Seal:
    """Seals with the first of *keys*, and opens what any of them has sealed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys

    def close(self, use: str, life_s: int, **said: str) -> str:
        """Return what is *said*, good for *use* and for *life_s* seconds."""
        return jwt.encode({**said, "aud": use, "exp": int(time.time()) + life_s}, self._keys[0], algorithm="HS256")

    def open(self, use: str, sealed: str | None) -> dict[str, Any] | None:
        """Return what was said for *use*; None where it was not, or too long ago."""
        for key in self._keys if sealed else ():
            with suppress(jwt.PyJWTError, ValueError):
                return jwt.decode(
                    sealed or "", key, algorithms=["HS256"], audience=use, leeway=_SKEW_S, options={"require": ["exp"]}
                )
        return None
