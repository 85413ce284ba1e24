"""Convex's OAuth endpoints: where the browser is sent, and where the code it brings back becomes a token."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Literal
from urllib.parse import urlencode

import anyio
import httpx2
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from mcp_convex import __version__
from mcp_convex.convex_api.failures import TROUBLES, Trouble
from mcp_convex.convex_api.http import LOOPBACK
from mcp_convex.domain.connections import Scope
from mcp_convex.domain.errors import (
    ConvexMcpError,
    ConvexUnreachable,
    CredentialRejected,
    OutcomeUnknown,
    RateLimited,
    SettingsInvalid,
    UnexpectedAnswer,
)
from mcp_convex.domain.ports import OAuthApi
from mcp_convex.domain.secrets import AccessTokenValue, VerifierValue

ANSWER_S = 30.0
_LARGEST_ANSWER = 64 * 1024
"""Bytes. A token has a few hundred."""

_TOKEN = re.compile(r"(?:team|project):[\x21-\x7e]+\|[\x21-\x7e]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthApplication:
    """The operator's application, as it is registered at Convex."""

    client_id: str
    client_secret: SecretStr = field(repr=False)
    dashboard_host: str
    provision_host: str


class _Granted(BaseModel):
    """What the token endpoint answers. It says nothing of an end: a token lives until it is revoked."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    access_token: SecretStr
    token_type: Literal["bearer", "Bearer"]


class HttpOAuthApi(OAuthApi):
    """The operator's application at Convex. `close` it in the end."""

    def __init__(
        self,
        application: OAuthApplication,
        *,
        answer_s: float = ANSWER_S,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._application = application
        self._answer_s = answer_s
        self._transport = transport

    async def close(self) -> None:
        """Give back the connections."""
        if "_client" in vars(self):
            await self._client.aclose()

    def authorize_url(self, *, scope: Scope, redirect_uri: str, state: str, challenge: str) -> str:
        # There is no `scope` parameter: the path says it.
        query = {
            "client_id": self._application.client_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._application.dashboard_host}/oauth/authorize/{scope}?{urlencode(query)}"

    async def exchange(self, code: str, *, redirect_uri: str, verifier: VerifierValue) -> AccessTokenValue:
        """
        Return the token for a code. A code is good for one try, so nothing is repeated.

        Raises:
            CredentialRejected: The code is expired or used.
            SettingsInvalid: Convex does not accept the application's id or secret.
            ConvexUnreachable: The request did not get there.
            OutcomeUnknown: It did, and its answer was lost: the code is used up.
            RateLimited: Convex answered 429 or 503.
            UnexpectedAnswer: The answer does not have the documented shape.
        """
        form = {
            "client_id": self._application.client_id,
            "client_secret": self._application.client_secret.get_secret_value(),
            "grant_type": "authorization_code",
            "redirect_uri": redirect_uri,
            "code": code,
            "code_verifier": verifier.get_secret_value(),
        }
        try:
            with anyio.fail_after(self._answer_s):
                status, body = await self._post("/oauth/token", form)
        except tuple(TROUBLES) as exc:
            raise _troubled(exc) from None  # its request holds the secret
        except TimeoutError:
            raise _lost() from None
        if status != HTTPStatus.OK:
            raise _refusal(status)  # what it says beside is Convex's, and its shape is not documented
        return _token(body)

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            transport=self._transport, mounts={f"all://{host}": None for host in LOOPBACK}, follow_redirects=False
        )

    async def _post(self, path: str, form: Mapping[str, str]) -> tuple[int, bytes]:
        url = self._application.provision_host + path
        headers = {"Convex-Client": f"mcp-convex-{__version__}", "Accept": "application/json"}
        async with self._client.stream("POST", url, data=form, headers=headers, timeout=self._answer_s) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _LARGEST_ANSWER:
                    raise _unexpected("Convex's answer is too large for a token.")
            return response.status_code, bytes(body)


def _token(body: bytes) -> AccessTokenValue:
    try:
        token = _Granted.model_validate_json(body).access_token
    except ValidationError:
        raise _unexpected("Convex's answer holds no token.") from None
    if not _TOKEN.fullmatch(token.get_secret_value()):
        raise _unexpected("Convex's answer holds a token of a kind that is not known.")
    return AccessTokenValue(token)


def _refusal(status: int) -> ConvexMcpError:
    match status:
        case 401:  # RFC 6749, 5.2: it is the client that is not known
            return SettingsInvalid(
                "Convex does not accept this server's OAuth application.",
                next_step="Ask the operator to check CONVEX_OAUTH_CLIENT_ID and CONVEX_OAUTH_CLIENT_SECRET.",
            )
        case 400 | 403 | 404:
            return CredentialRejected(
                "Convex did not accept the code: it is expired or was used.", next_step="Call `connect` again."
            )
        case 429 | 503:
            return RateLimited("Convex is overloaded, or asks for fewer calls.", next_step="Try again in a minute.")
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return ConvexUnreachable(f"Convex answered with status {status}.", next_step="Try again in a minute.")
        case _:
            return _unexpected(f"Convex answered with status {status}.")


def _troubled(exc: Exception) -> ConvexMcpError:
    match next(trouble for known, trouble in TROUBLES.items() if isinstance(exc, known)):
        case Trouble.NOT_SENT:
            return ConvexUnreachable(
                f"Convex did not answer ({type(exc).__name__}).", next_step="Try again in a few seconds."
            )
        case Trouble.LOST | Trouble.SILENT:
            return _lost()
        case _:
            return _unexpected(f"Convex's answer cannot be read ({type(exc).__name__}).")


def _lost() -> OutcomeUnknown:
    return OutcomeUnknown(
        "Convex's answer was lost, and the code with it.", next_step="Call `connect` again for another."
    )


def _unexpected(message: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(message, next_step="Try again later. If it keeps happening, tell the operator.")
