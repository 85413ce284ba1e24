"""Who may call a hosted server, from the settings."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, SecretStr

from mcp_convex.boundary.http import Access, exact_url
from mcp_convex.boundary.listening import host_in_url, is_loopback
from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.domain.identity import Identity, Refusal, SignIn, TokenCheck
from mcp_convex.identity.asking import Issuer
from mcp_convex.identity.fixed import FixedTokens
from mcp_convex.identity.keys import Freshness, IssuerKeys
from mcp_convex.identity.sign_in import OpenIdSignIn
from mcp_convex.identity.tokens import Introspected, Jwts
from mcp_convex.settings import Settings

_HERE = ("127.0.0.1:*", "localhost:*", "[::1]:*")
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - what is listened on is not decided here
_OF_AN_ISSUER = ("audience", "jwks_url", "introspection_url", "introspection_client_id", "introspection_client_secret")
_PAGES_HERE = tuple(f"http://{host}" for host in _HERE)


@asynccontextmanager
async def opened_access(settings: Settings) -> AsyncGenerator[Access]:
    """
    Open what tells who may call, and close it on the way out.

    Raises:
        SettingsInvalid: Strangers could, or the settings do not fit together.
    """
    local = is_loopback(settings.listen_host)
    _check_issuer(settings)
    if settings.tokens_file is None and settings.issuer is None:
        _check_private(settings)
    _check_pages(settings)
    issuer = Issuer()
    try:
        keys = None if settings.issuer is None else IssuerKeys(settings.issuer, settings.jwks_url, issuer, Freshness())
        checks = tuple(_checks(settings, issuer, keys))
        yield Access(
            check=_AnyOf(checks) if checks else None,
            required_scopes=settings.required_scopes,
            resource=_resource(settings),
            hosts=(*_hosts(settings), *(_HERE if local else ()), *settings.allowed_hosts),
            sign_in=_sign_in(settings, issuer, keys),
            at_once=settings.calls,
            origins=(*_origins(settings), *(_PAGES_HERE if local else ()), *settings.allowed_origins),
        )
    finally:
        await issuer.aclose()


def _check_issuer(settings: Settings) -> None:
    """See to it that nothing which says how an issuer's tokens are judged is left aside without a word."""
    given = [f"MCP_CONVEX_{name.upper()}" for name in _OF_AN_ISSUER if getattr(settings, name) is not None]
    if settings.issuer is None and given:
        raise SettingsInvalid(
            f"There is no issuer whose tokens could be judged by {' and '.join(given)}.",
            next_step="Set MCP_CONVEX_ISSUER too, or leave them out.",
        )
    if settings.introspection_url is None and any("INTROSPECTION" in name for name in given):
        raise SettingsInvalid(
            "It is not said where the issuer is to be asked about tokens.",
            next_step="Set MCP_CONVEX_INTROSPECTION_URL, or leave MCP_CONVEX_INTROSPECTION_CLIENT_ID and"
            " MCP_CONVEX_INTROSPECTION_CLIENT_SECRET out.",
        )


def _check_private(settings: Settings) -> None:
    """See to it that nobody else than this machine reaches a server that asks nobody who they are."""
    behind_proxy = None if settings.public_url is None else urlsplit(settings.public_url).hostname
    for host in (settings.listen_host, behind_proxy):
        if host is not None and not is_loopback(host):
            raise SettingsInvalid(
                f"Whoever reaches {host} could act as anybody.",
                next_step="Set MCP_CONVEX_ISSUER or MCP_CONVEX_TOKENS_FILE, or serve this machine alone, on 127.0.0.1.",
            )


def _hosts(settings: Settings) -> Iterator[str]:
    """Yield what this server is called by whoever is told where it is."""
    if settings.public_url is not None:
        yield urlsplit(settings.public_url).netloc
    if settings.listen_host not in _EVERYWHERE:
        yield f"{host_in_url(settings.listen_host)}:*"


def _origins(settings: Settings) -> Iterator[str]:
    """Yield the origin of this server's own pages, of which the panel calls."""
    if settings.public_url is not None:
        parts = urlsplit(settings.public_url)
        yield f"{parts.scheme}://{parts.netloc}"


def _resource(settings: Settings) -> tuple[AnyHttpUrl, AnyHttpUrl] | None:
    if settings.public_url is None or settings.issuer is None:
        return None
    return exact_url(settings.public_url), exact_url(settings.issuer)


def _checks(settings: Settings, issuer: Issuer, keys: IssuerKeys | None) -> Iterator[TokenCheck]:
    if settings.tokens_file is not None:
        yield FixedTokens.read(settings.tokens_file, settings.required_scopes)
    if settings.issuer is None or keys is None:
        return
    if (audience := settings.audience or settings.public_url) is None or settings.public_url is None:
        raise SettingsInvalid(
            "An issuer's tokens have to be for this server, which does not know by what URL it is called.",
            next_step="Set MCP_CONVEX_PUBLIC_URL, and have the issuer name it as the audience.",
        )
    if settings.introspection_url is None:
        yield Jwts(settings.issuer, audience, keys)
        return
    if settings.introspection_client_id is None or settings.introspection_client_secret is None:
        raise SettingsInvalid(
            "An issuer tells about tokens only to whom it knows.",
            next_step="Set MCP_CONVEX_INTROSPECTION_CLIENT_ID and MCP_CONVEX_INTROSPECTION_CLIENT_SECRET.",
        )
    client = settings.introspection_client_id, settings.introspection_client_secret
    yield Introspected((settings.issuer, audience), settings.introspection_url, client, issuer)


def _check_pages(settings: Settings) -> None:
    """See to it that whoever is let in to pages finds there only the operator's application to connect with."""
    if settings.vouching_clients and (settings.public_url is None or settings.convex_oauth_client_id is None):
        raise SettingsInvalid(
            "Clients that say whose browser they send to a page need pages.",
            next_step="Set MCP_CONVEX_PUBLIC_URL and CONVEX_OAUTH_CLIENT_ID, or leave MCP_CONVEX_VOUCHING_CLIENTS out.",
        )


def _sign_in(settings: Settings, issuer: Issuer, keys: IssuerKeys | None) -> SignIn | None:
    client = settings.sign_in_client_id, settings.sign_in_client_secret
    if client == (None, None):
        return None
    match settings.issuer, settings.pages_origin, client, settings.convex_oauth_client_id:
        case str() as name, str() as origin, (str() as id_, SecretStr() as secret), str() if keys is not None:
            return OpenIdSignIn(name, (id_, secret), f"{origin}/convex/signed-in", (issuer, keys))
        case _:
            # Without the application a page would have its person type a deployment's URL, and this server go there.
            raise SettingsInvalid(
                "Pages need an issuer that knows this server, and the operator's OAuth application at Convex.",
                next_step="Set MCP_CONVEX_ISSUER, MCP_CONVEX_PUBLIC_URL, MCP_CONVEX_SIGN_IN_CLIENT_ID,"
                " MCP_CONVEX_SIGN_IN_CLIENT_SECRET and CONVEX_OAUTH_CLIENT_ID, or neither of the two of SIGN_IN.",
            )


class _AnyOf(TokenCheck):
    """Takes the first that knows the token; why none does, the last one tells."""

    def __init__(self, checks: tuple[TokenCheck, ...]) -> None:
        self._checks = checks

    async def identify(self, token: SecretStr) -> Identity | Refusal:
        judged: Identity | Refusal = Refusal(reason="unknown")
        for check in self._checks:
            judged = await check.identify(token)
            if isinstance(judged, Identity):
                break
        return judged
