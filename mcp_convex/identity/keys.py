"""An issuer's public keys: fetched when first needed, kept for a while, and anew when an unknown one is named."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import jwt

from mcp_convex.domain.identity import CannotJudge
from mcp_convex.identity.asking import Issuer
from mcp_convex.identity.discovery import named_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How long keys are believed. All in seconds."""

    fresh_s: float = 300
    """Until they are fetched again; an issuer that withdraws a key has that long to wait."""
    kept_s: float = 3600
    """Until they are believed no more, where the issuer does not answer."""
    pause_s: float = 5
    """Between two fetches at least, whatever callers send."""


class IssuerKeys:
    """The keys with which the issuer *name* signs, at *url*, or where the issuer's metadata says."""

    def __init__(self, name: str, url: str | None, issuer: Issuer, freshness: Freshness) -> None:
        self._name = name
        self._url = url
        self._issuer = issuer
        self._freshness = freshness
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._asked_at = float("-inf")
        self._trouble = ""
        """Why the latest fetch brought no keys."""
        self._lock = asyncio.Lock()

    async def find(self, id_: str | None) -> jwt.PyJWK | None:
        """
        Return the key of that id; None where the issuer has none.

        Raises:
            CannotJudge: The issuer has to be asked, and does not answer.
        """
        known = self._known(id_)
        if known is not None and (self._age() < self._freshness.fresh_s or self._lock.locked()):
            return known
        async with self._lock:
            if self._is_due(id_):
                await self._fetch()
        if self._age() >= self._freshness.kept_s:
            raise CannotJudge(f"the issuer's keys cannot be had: {self._trouble}")
        known = self._known(id_)
        if known is None and self._fetched_at < self._asked_at:
            raise CannotJudge(f"a new key of the issuer's cannot be had: {self._trouble}")
        return known

    def _known(self, id_: str | None) -> jwt.PyJWK | None:
        if self._age() >= self._freshness.kept_s:
            return None
        if id_ is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(id_)

    def _age(self) -> float:
        return time.monotonic() - self._fetched_at

    def _is_due(self, id_: str | None) -> bool:
        wanted = self._known(id_) is None or self._age() >= self._freshness.fresh_s
        return wanted and time.monotonic() - self._asked_at >= self._freshness.pause_s

    async def _fetch(self) -> None:
        """Fetch the keys; where that fails, those that are known stay."""
        self._asked_at = time.monotonic()
        try:
            url = self._url or await named_url("jwks_uri", self._name, self._issuer)
            keys = _signing_keys(await self._issuer.get(url))
        except CannotJudge as exc:
            self._trouble = str(exc)
            return
        self._keys = keys
        self._fetched_at = time.monotonic()


def _signing_keys(document: dict[str, Any]) -> dict[str | None, jwt.PyJWK]:
    try:
        keys = jwt.PyJWKSet.from_dict(document).keys
    except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
        raise CannotJudge("the issuer's keys are not as they should be") from None
    return {key.key_id: key for key in keys if key.public_key_use in {None, "sig"} and key.key_type != "oct"}
