"""Access tokens of an issuer: JWTs, judged by its keys, and others, judged by asking it (RFC 7662)."""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

import jwt
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from mcp_convex.domain.identity import Identity, Refusal, RefusalReason, TokenCheck
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
_REASONS: Sequence[tuple[type[Exception], RefusalReason]] = (
    (jwt.InvalidSignatureError, "signature"),
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not_yet_valid"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.DecodeError, "malformed"),
    (jwt.InvalidTokenError, "claims"),
    (Exception, "malformed"),
)
"""What an exception says of the token: the first that fits."""
_NAMEABLE = re.compile(r"[A-Za-z0-9._:~-]{1,64}")
"""The ids of keys that a log may show; the rest of a token it may not."""


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
    def untimely(self) -> Literal["expired", "not_yet_valid"] | None:
        now = time.time()
        if self.exp is not None and self.exp <= now - SKEW_S:
            return "expired"
        return "not_yet_valid" if self.nbf is not None and self.nbf >= now + SKEW_S else None

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

    async def identify(self, token: SecretStr) -> Identity | Refusal:
        encoded = token.get_secret_value()
        digest = hashlib.sha256(encoded.encode()).digest()
        known = self._known.get(digest)
        if known is not None and known.is_current and await self._keys.find(known.key_id) is known.key:
            return known.identity
        try:
            header = jwt.get_unverified_header(encoded)
        except _MALFORMED:
            return Refusal(reason="malformed")
        key_id = header.get("kid")
        named = key_id if key_id is not None and _NAMEABLE.fullmatch(key_id) else None
        if header.get("alg") not in ALGORITHMS:
            return Refusal(reason="algorithm", key=named)
        if (key := await self._keys.find(key_id)) is None:
            return Refusal(reason="unknown_key", key=named)
        judged = self._verified(encoded, key)
        if isinstance(judged, Refusal):
            return judged.model_copy(update={"key": named})
        _remember(self._known, digest, _Verified(key_id, key, judged))
        return judged

    def _verified(self, encoded: str, key: jwt.PyJWK) -> Identity | Refusal:
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
        except _MALFORMED as exc:
            return _refusal(exc)
        read = _Claims.read(claims)
        return Refusal(reason="claims") if read is None else read.identity(self._issuer)


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
        self._known: OrderedDict[bytes, tuple[float, _Claims | Refusal]] = OrderedDict()

    async def identify(self, token: SecretStr) -> Identity | Refusal:
        digest = hashlib.sha256(token.get_secret_value().encode()).digest()
        asked_at, told = self._known.get(digest, (float("-inf"), None))
        if told is None or time.monotonic() - asked_at >= BELIEVED_S:
            form = {"token": token.get_secret_value(), "token_type_hint": "access_token"}
            told = self._judged(await self._issuer.post(self._url, form, *self._client))
            _remember(self._known, digest, (time.monotonic(), told))
        if isinstance(told, Refusal):
            return told
        return told.identity(self._name) if told.untimely is None else Refusal(reason=told.untimely)

    def _judged(self, answer: Mapping[str, Any]) -> _Claims | Refusal:
        if answer.get("active") is not True:
            return Refusal(reason="inactive")
        if answer.get("iss", self._name) != self._name:
            return Refusal(reason="issuer")
        if (claims := _Claims.read(answer)) is None:
            return Refusal(reason="claims")
        return claims if self._audience in claims.audiences else Refusal(reason="audience")


def _refusal(exc: Exception) -> Refusal:
    return Refusal(reason=next(reason for kind, reason in _REASONS if isinstance(exc, kind)))


def _remember(known: OrderedDict[bytes, T], digest: bytes, answer: T) -> None:
    known[digest] = answer
    known.move_to_end(digest)
    while len(known) > _REMEMBERED:
        known.popitem(last=False)
