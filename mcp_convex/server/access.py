"""Who may call a hosted server, from the settings."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr

from mcp_convex.boundary.http import Access
from mcp_convex.boundary.listening import is_loopback
from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.domain.identity import Identity, TokenCheck
from mcp_convex.identity.fixed import FixedTokens
from mcp_convex.settings import Settings

_HERE = ("127.0.0.1:*", "localhost:*", "[::1]:*")


def access_of(settings: Settings) -> Access:
    """
    Return who may call.

    Raises:
        SettingsInvalid: Strangers could, or the settings do not fit together.
    """
    checks: list[TokenCheck] = []
    if settings.tokens_file is not None:
        checks.append(FixedTokens.read(settings.tokens_file))
    local = is_loopback(settings.listen_host)
    if not checks and not local:
        raise SettingsInvalid(
            f"Whoever reaches {settings.listen_host} could act as anybody.",
            next_step="Set MCP_CONVEX_ISSUER or MCP_CONVEX_TOKENS_FILE, or listen on 127.0.0.1.",
        )
    public = () if settings.public_url is None else (urlsplit(settings.public_url).netloc,)
    return Access(
        check=AnyOf(checks) if checks else None,
        required_scopes=settings.required_scopes,
        issuer=settings.issuer,
        public_url=settings.public_url,
        hosts=(*public, *(_HERE if local else ()), *settings.allowed_hosts),
        origins=settings.allowed_origins,
    )


class AnyOf(TokenCheck):
    """Takes the first answer."""

    def __init__(self, checks: list[TokenCheck]) -> None:
        self._checks = checks

    async def identify(self, token: SecretStr) -> Identity | None:
        for check in self._checks:
            if (identity := await check.identify(token)) is not None:
                return identity
        return None
