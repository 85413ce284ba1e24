"""Values that must not leave the process, and the second lock that keeps them in: redaction."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NewType
from urllib.parse import quote

from pydantic import SecretStr

AdminKeyValue = NewType("AdminKeyValue", SecretStr)
"""A deployment's credential on the wire: an admin key (`name|hex`), a deploy key or a re-prefixed OAuth token."""

AccessTokenValue = NewType("AccessTokenValue", SecretStr)
"""What a connection holds: an OAuth token (`team:slug|…`, `project:team:slug|…`), a team token or the CLI's login."""

VerifierValue = NewType("VerifierValue", SecretStr)
"""The PKCE code verifier of one OAuth flow."""

PlaceholderValue = NewType("PlaceholderValue", SecretStr)
"""The key that a sandboxed CLI is given: valid at the gate only, for one push only."""

CredentialShape = Literal["access_token", "deploy_key", "admin_key"]
"""`admin_key` is one whose deployment Convex's cloud does not know: its URL has to be told beside it."""

REDACTED = "[redacted]"


def shape_of(credential: SecretStr) -> CredentialShape:
    """Say what *credential* is, by what stands in front of its secret part."""
    prefix, bar, _ = credential.get_secret_value().rpartition("|")
    kind, colon, of = prefix.partition(":")
    if colon and kind in {"dev", "prod", "preview", "custom"} and ":" not in of:
        return "deploy_key"
    return "admin_key" if bar and not colon else "access_token"


def is_for_production(key: AdminKeyValue) -> bool:
    """Say whether *key*'s own prefix names a production deployment. One without a prefix says nothing."""
    return key.get_secret_value().startswith("prod:")


_KEY_SHAPED = re.compile(r"\b(?:(?:prod|dev|preview|project|team|custom):)?[\w:-]+\|[A-Za-z0-9+/=_-]{8,}")
_JWT_SHAPED = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+")
_PEM_SHAPED = re.compile(r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", re.DOTALL)
_SHORTEST_SECRET = 6
"""Characters. A shorter value stands in too many harmless places to be masked by its text."""


class Redactor:
    """Masks known secrets, in each form that a program may print them in, and whatever is shaped like one."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        told = {form for value in known if len(value) >= _SHORTEST_SECRET for form in forms(value)}
        longest_first = sorted(told, key=len, reverse=True)
        self._exact = re.compile("|".join(map(re.escape, longest_first))) if told else None

    def __call__(self, text: str) -> str:
        """Return *text* with every secret masked."""
        if self._exact:
            text = self._exact.sub(REDACTED, text)
        for shape in (_PEM_SHAPED, _JWT_SHAPED, _KEY_SHAPED):
            text = shape.sub(REDACTED, text)
        return text

    def mask(self, body: bytes) -> bytes:
        """Return *body* with the known secrets masked, and nothing else: it is data that only happens to hold them."""
        return re.sub(self._exact.pattern.encode(), REDACTED.encode(), body) if self._exact else body


redact = Redactor()
"""Masks what is shaped like a secret, for places that know none by value."""


def forms(value: str) -> Iterator[str]:
    """Yield *value* in each form that a program may print it in; some may be alike."""
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield quote(value, safe="")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(value.encode()).decode().rstrip("=")
