"""Access tokens of an issuer: JWTs, judged by its keys, and others, judged by asking it (RFC 7662)."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jwt
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from mcp_convex.domain.identity import Identity, TokenCheck
from mcp_convex.identity.asking import Issuer
from mcp_convex.identity.keys import IssuerKeys

T = TypeVar("T")

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures only: a shared secret has no place in a resource server."""
SKEW_S = 60
"""Seconds by which the issuer's clock and this one may differ."""
BELIEVED_S = 30.0
"""Seconds for which the issuer's answer about a token is believed; a revoked one is good that much longer."""
_REMEMBERED = 4096
_MALFORMED = (jwt.PyJWTError, ValueError, RecursionError)
"""What PyJWT raises, and what comes of JSON of a thousand brackets."""


class _Claims(BaseModel):
    """What is read of a token, in either form of it."""

    model_config = ConfigDict(hide_input_in_errors=True, allow_inf_nan=False)

    sub: str = Field(pattern=r"^[\x20-\x7e]{1,255}$")
    """As OpenID Connect has it, of printable ASCII."""
    aud: str | list[str]
    exp: float | None = None
    nbf: float | None = None
    client_id: str | None = None
    azp: str | None = None
    scope: str | list[str] | None = None
    scp: str | list[str] | None = None

    @classmethod
    def read(cls, claims: Mapping[str, Any]) -> _Claims | None:
        """Return what *claims* say; None where they are not as they should be."""
        try:
            return cls.model_validate(claims)
        except ValidationError:
            return None

    @property
    def audiences(self) -> list[str]:
        return [self.aud] if isinstance(self.aud, str) else self.aud

    @property
    def are_current(self) -> bool:
        now = time.time()
        return (self.exp is None or self.exp > now - SKEW_S) and (self.nbf is None or self.nbf < now + SKEW_S)

    def identity(self, issuer: str) -> Identity:
        """Return whom *issuer* means by them. Scopes stand in `scope` (RFC 9068), or, with some issuers, in `scp`."""
        scopes = self.scope or self.scp or ""
        return Identity(
            issuer=issuer,
            subject=self.sub,
            client=self.client_id or self.azp or "",
            scopes=frozenset(scopes.split() if isinstance(scopes, str) else scopes),
            expires_at=None if self.exp is None else int(self.exp) + SKEW_S,
        )


class _Verified(NamedTuple):
    """A token whose signature need not be checked again while the issuer's key is the same."""

    key_id: str | None
    key: jwt.PyJWK
    identity: Identity

    @property
    def is_current(self) -> bool:
        return self.identity.expires_at is not None and time.time() < self.identity.expires_at


class Jwts(TokenCheck):
    """Accepts JWTs that *issuer* signed for *audience*."""

    def __init__(self, issuer: str, audience: str, keys: IssuerKeys) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._known: OrderedDict[bytes, _Verified] = OrderedDict()

    async def identify(self, token: SecretStr) -> Identity | None:
        encoded = token.get_secret_value()
        digest = hashlib.sha256(encoded.encode()).digest()
        known = self._known.get(digest)
        if known is not None and known.is_current and await self._keys.find(known.key_id) is known.key:
            return known.identity
        try:
            header = jwt.get_unverified_header(encoded)
        except _MALFORMED:
            return None
        if header.get("alg") not in ALGORITHMS:
            return None
        key = await self._keys.find(key_id := header.get("kid"))
        identity = None if key is None else self._verified(encoded, key)
        if key is not None and identity is not None:
            _remember(self._known, digest, _Verified(key_id, key, identity))
        return identity

    def _verified(self, encoded: str, key: jwt.PyJWK) -> Identity | None:
        try:
            claims = jwt.decode(
                encoded,
                key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=SKEW_S,
                options={"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True},
            )
        except _MALFORMED:
            return None
        read = _Claims.read(claims)
        return None if read is None else read.identity(self._issuer)


class Introspected(TokenCheck):
    """Asks the issuer about each token, and believes the answer for a short while."""

    def __init__(self, names: tuple[str, str], url: str, client: tuple[str, SecretStr], issuer: Issuer) -> None:
        """
        Ask at *url* as *client*, an id and its secret.

        Args:
            names: The issuer's, and the audience's.
        """
        self._name, self._audience = names
        self._url = url
        self._client = client
        self._issuer = issuer
        self._known: OrderedDict[bytes, tuple[float, Identity | None]] = OrderedDict()

    async def identify(self, token: SecretStr) -> Identity | None:
        digest = hashlib.sha256(token.get_secret_value().encode()).digest()
        asked_at, identity = self._known.get(digest, (float("-inf"), None))
        if time.monotonic() - asked_at >= BELIEVED_S:
            form = {"token": token.get_secret_value(), "token_type_hint": "access_token"}
            identity = self._judged(await self._issuer.post(self._url, form, *self._client))
            _remember(self._known, digest, (time.monotonic(), identity))
        return identity

    def _judged(self, answer: Mapping[str, Any]) -> Identity | None:
        if answer.get("active") is not True or answer.get("iss", self._name) != self._name:
            return None
        claims = _Claims.read(answer)
        if claims is None or self._audience not in claims.audiences or not claims.are_current:
            return None
        return claims.identity(self._name)


def _remember(known: OrderedDict[bytes, T], digest: bytes, answer: T) -> None:
    known[digest] = answer
    known.move_to_end(digest)
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
