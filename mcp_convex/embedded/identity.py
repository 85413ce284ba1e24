"""Verifying the tokens of an app's own auth providers: OpenID Connect, and custom JWTs."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import anyio

from mcp_convex.embedded.refusals import Refusal
from mcp_convex.embedded.wire import fields

Identity = dict[str, Any]
"""What `ctx.auth.getUserIdentity()` answers."""

Provider = Mapping[str, Any]
"""As `auth.config.ts` declares it."""

_KEYS_KEPT_S = 300.0
_LEEWAY_S = 5.0
_MAX_DOCUMENT = 1024 * 1024

_CLAIMS = {
    "sub": "subject",
    "iss": "issuer",
    "name": "name",
    "given_name": "givenName",
    "family_name": "familyName",
    "nickname": "nickname",
    "preferred_username": "preferredUsername",
    "profile": "profileUrl",
    "picture": "pictureUrl",
    "website": "websiteUrl",
    "email": "email",
    "email_verified": "emailVerified",
    "gender": "gender",
    "birthdate": "birthday",
    "zoneinfo": "timezone",
    "locale": "language",
    "phone_number": "phoneNumber",
    "phone_number_verified": "phoneNumberVerified",
    "address": "address",
    "updated_at": "updatedAt",
}
_NOT_PASSED_ON = frozenset({"aud", "exp", "iat", "nbf", "jti"})


class Identities:
    """Says who a token is about, by the providers that are live at that moment."""

    def __init__(self, providers: Callable[[], list[dict[str, Any]]]) -> None:
        self._providers = providers
        self._documents: dict[str, tuple[float, dict[str, Any]]] = {}

    async def verify(self, token: str) -> Identity:
        """
        Return the identity that *token* asserts.

        Raises:
            Refusal: It is no JWT, no provider matches it, or its signature or its times are wrong.
        """
        import jwt  # noqa: PLC0415  # cryptography takes a tenth of a second to load, and most apps never need it

        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(token, options={"verify_signature": False})
            provider = self._provider_of(claims)
            key = await self._key(provider, header)
            jwt.decode(
                token,
                key,
                algorithms=[provider.get("algorithm") or header.get("alg", "RS256")],
                leeway=_LEEWAY_S,
                options={"require": ["exp", "sub", "iss"], "verify_aud": False},
            )
        except jwt.PyJWTError as exc:
            raise _invalid(f"{exc}.") from exc
        return _identity(claims)

    def _provider_of(self, claims: Mapping[str, Any]) -> Provider:
        providers = self._providers()
        for provider in providers:
            if _issuer(provider) == _bare(str(claims.get("iss", ""))) and _has_audience(provider, claims):
                return provider
        configured = ", ".join(_issuer(provider) for provider in providers) or "none"
        raise Refusal(
            401,
            "NoAuthProvider",
            f"No auth provider found matching the given token (providers configured: {configured}). "
            "Check convex/auth.config.ts.",
        )

    async def _key(self, provider: Provider, header: Mapping[str, Any]) -> Any:
        import jwt  # noqa: PLC0415  # see `verify`

        if header.get("alg") not in ("RS256", "ES256"):
            raise _invalid("Only RS256 and ES256 are accepted.")
        url = provider.get("jwks") or await self._discovered(provider)
        for fresh in (False, True):
            keys = jwt.PyJWKSet.from_dict(await self._document(url, fresh=fresh)).keys
            for key in keys:
                if key.key_id == header.get("kid") or len(keys) == 1:
                    return key.key
        raise _invalid("The provider has no key with the token's `kid`.")

    async def _discovered(self, provider: Provider) -> str:
        domain = str(provider["domain"]).rstrip("/")
        issuer = domain if "://" in domain else f"https://{domain}"
        return str((await self._document(f"{issuer}/.well-known/openid-configuration")).get("jwks_uri", ""))

    async def _document(self, url: str, *, fresh: bool = False) -> dict[str, Any]:
        until, document = self._documents.get(url, (0.0, {}))
        if fresh or time.monotonic() > until:
            document = _parsed(_inline(url) if url.startswith("data:") else await _fetched(url))
            self._documents[url] = (time.monotonic() + _KEYS_KEPT_S, document)
        return document


def _identity(claims: Mapping[str, Any]) -> Identity:
    named = {_CLAIMS.get(name, name): value for name, value in claims.items() if name not in _NOT_PASSED_ON}
    return {**named, "tokenIdentifier": f"{claims['iss']}|{claims['sub']}"}


def _issuer(provider: Provider) -> str:
    return _bare(str(provider.get("issuer") or provider.get("domain") or ""))


def _bare(issuer: str) -> str:
    return issuer.removeprefix("https://").rstrip("/")


def _has_audience(provider: Provider, claims: Mapping[str, Any]) -> bool:
    wanted, audience = provider.get("applicationID"), claims.get("aud")
    return wanted is None or wanted == audience or (isinstance(audience, list) and wanted in audience)


def _parsed(document: bytes) -> dict[str, Any]:
    try:
        return fields(json.loads(document))
    except ValueError as exc:
        raise _invalid("The auth provider's keys are no JSON.") from exc


def _inline(url: str) -> bytes:
    head, _, data = url.partition(",")
    if head.endswith(";base64"):
        return base64.b64decode(data)
    return unquote_to_bytes(data)


async def _fetched(url: str) -> bytes:
    import httpx2  # noqa: PLC0415  # only apps with a provider elsewhere need it

    document = bytearray()
    try:
        with anyio.fail_after(10):
            async with httpx2.AsyncClient(follow_redirects=True) as client, client.stream("GET", url) as answer:
                answer.raise_for_status()
                async for chunk in answer.aiter_bytes():
                    document += chunk
                    if len(document) > _MAX_DOCUMENT:
                        break
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as exc:
        raise _invalid("The auth provider's keys could not be fetched.") from exc
    return bytes(document)


def _invalid(why: str) -> Refusal:
    return Refusal(401, "InvalidAuthHeader", f"Could not verify OIDC token claim. {why}")
