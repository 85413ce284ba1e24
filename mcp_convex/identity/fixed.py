"""Bearer tokens that the operator has written into a file, for a private network."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from pydantic import SecretStr

from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.domain.identity import Identity, Refusal, TokenCheck

ISSUER = "tokens-file"
_SHORTEST = 32
"""Characters of a token: shorter ones can be guessed."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_OTHERS = 0o007


class _Entry(NamedTuple):
    digest: bytes
    identity: Identity


class FixedTokens(TokenCheck):
    """Knows each token by its hash only, and takes as long for a wrong one as for a right one."""

    def __init__(self, entries: tuple[_Entry, ...]) -> None:
        self._entries = entries

    @classmethod
    def read(cls, file: Path, scopes: Collection[str]) -> FixedTokens:
        """
        Return the tokens in *file*: a line has a name, a token, and scopes beside those that every token has.

        Raises:
            SettingsInvalid: It cannot be read, others may read it, or a line is not as it should be.
        """
        try:
            if file.stat().st_mode & _OTHERS:
                raise _wrong(file, "may be read by everybody on this machine", "Run `chmod 600` on it.")
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            raise _wrong(file, "cannot be read", "Correct the path, or the file's owner.") from None
        entries = tuple(
            _entry(file, number, line.split(), scopes)
            for number, line in enumerate(lines, 1)
            if line.strip() and not line.lstrip().startswith("#")
        )
        if not entries or len({entry.digest for entry in entries}) < len(entries):
            raise _wrong(file, "holds no token, or one token twice", "Give each name a token of its own.")
        return cls(entries)

    async def identify(self, token: SecretStr) -> Identity | Refusal:
        given = _digest(token.get_secret_value())
        # All are compared, so that the time says nothing about which.
        found = [entry.identity for entry in self._entries if hmac.compare_digest(entry.digest, given)]
        return found[0] if found else Refusal(reason="unknown")


def _entry(file: Path, number: int, words: list[str], scopes: Collection[str]) -> _Entry:
    name, token, *more = words if len(words) > 1 else ("", "")
    if not _NAME.fullmatch(name) or len(token) < _SHORTEST:
        raise _wrong(
            file,
            f"has a line {number} that is not a name, a token of {_SHORTEST} characters or more, and scopes",
            "Make tokens with `openssl rand -hex 32`.",
        )
    return _Entry(
        _digest(token), Identity(issuer=ISSUER, subject=name, client=name, scopes=frozenset([*scopes, *more]))
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _wrong(file: Path, how: str, next_step: str) -> SettingsInvalid:
    return SettingsInvalid(f"The file of tokens `{file}` {how}.", next_step=next_step)
