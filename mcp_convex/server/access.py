"""Who may call a hosted server, from the settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, SecretStr

from mcp_convex.boundary.http import Access, exact_url
from mcp_convex.boundary.listening import is_loopback
from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.domain.identity import Identity, TokenCheck
from mcp_convex.identity.asking import Issuer
from mcp_convex.identity.fixed import FixedTokens
from mcp_convex.identity.keys import Freshness, IssuerKeys
from mcp_convex.identity.tokens import Introspected, Jwts
from mcp_convex.settings import Settings

_HERE = ("127.0.0.1:*", "localhost:*", "[::1]:*")
_PAGES_HERE = tuple(f"http://{host}" for host in _HERE)


@asynccontextmanager
async def opened_access(settings: Settings) -> AsyncGenerator[Access]:
    """
    Open what tells who may call, and close it on the way out.

    Raises:
        SettingsInvalid: Strangers could, or the settings do not fit together.
    """
    local = is_loopback(settings.listen_host)
    if not local and settings.tokens_file is None and settings.issuer is None:
        raise SettingsInvalid(
            f"Whoever reaches {settings.listen_host} could act as anybody.",
            next_step="Set MCP_CONVEX_ISSUER or MCP_CONVEX_TOKENS_FILE, or listen on 127.0.0.1.",
        )
    issuer = Issuer()
    try:
        checks = tuple(_checks(settings, issuer))
        public = () if settings.public_url is None else (urlsplit(settings.public_url).netloc,)
        yield Access(
            check=_AnyOf(checks) if checks else None,
            required_scopes=settings.required_scopes,
            resource=_resource(settings),
            hosts=(*public, *(_HERE if local else ()), *settings.allowed_hosts),
            origins=(*(_PAGES_HERE if local else ()), *settings.allowed_origins),
        )
    finally:
        await issuer.aclose()


def _resource(settings: Settings) -> tuple[AnyHttpUrl, AnyHttpUrl] | None:
    if settings.public_url is None or settings.issuer is None:
        return None
    return exact_url(settings.public_url), exact_url(settings.issuer)


def _checks(settings: Settings, issuer: Issuer) -> Iterator[TokenCheck]:
    if settings.tokens_file is not None:
        yield FixedTokens.read(settings.tokens_file, settings.required_scopes)
    if settings.issuer is None:
        return
    if (audience := settings.audience or settings.public_url) is None or settings.public_url is None:
        raise SettingsInvalid(
            "An issuer's tokens have to be for this server, which does not know by what URL it is called.",
            next_step="Set MCP_CONVEX_PUBLIC_URL, and have the issuer name it as the audience.",
        )
    if settings.introspection_url is None:
        keys = IssuerKeys(settings.issuer, settings.jwks_url, issuer, Freshness())
        yield Jwts(settings.issuer, audience, keys)
        return
    if settings.introspection_client_id is None or settings.introspection_client_secret is None:
        raise SettingsInvalid(
            "An issuer tells about tokens only to whom it knows.",
            next_step="Set MCP_CONVEX_INTROSPECTION_CLIENT_ID and MCP_CONVEX_INTROSPECTION_CLIENT_SECRET.",
        )
    client = settings.introspection_client_id, settings.introspection_client_secret
    yield Introspected((settings.issuer, audience), settings.introspection_url, client, issuer)


class _AnyOf(TokenCheck):
    """Takes the first answer."""

    def __init__(self, checks: tuple[TokenCheck, ...]) -> None:
        self._checks = checks

    async def identify(self, token: SecretStr) -> Identity | None:
        for check in self._checks:
            if (identity := await check.identify(token)) is not None:
                return identity
        return None
