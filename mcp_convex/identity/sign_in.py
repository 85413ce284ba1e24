"""Signing a browser in with the issuer: OpenID Connect's code flow, with PKCE."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import time
from urllib.parse import urlencode

import jwt
from pydantic import SecretStr

from mcp_convex.domain.identity import Identity, Refusal, SignIn, SigningIn
from mcp_convex.identity.asking import Issuer
from mcp_convex.identity.discovery import named_url
from mcp_convex.identity.keys import IssuerKeys
from mcp_convex.identity.tokens import Jwts

logger = logging.getLogger(__name__)

_BELIEVED_S = 300
"""Seconds for which the issuer's endpoints are believed."""


class OpenIdSignIn(SignIn):
    """Signs in with the issuer *name*, to which this server is *client*, an id and its secret."""

    def __init__(
        self, name: str, client: tuple[str, SecretStr], redirect_uri: str, asked: tuple[Issuer, IssuerKeys]
    ) -> None:
        self._name = name
        self._client = client
        self._redirect_uri = redirect_uri
        self._issuer, keys = asked
        self._endpoints: dict[str, tuple[str, float]] = {}
        """Each with when it is to be asked for again."""
        # What says who signed in is for this client: an access token, which is for the server, is none.
        self._id_tokens = Jwts(name, client[0], keys)

    async def begin(self) -> SigningIn:
        endpoint = await self._endpoint("authorization_endpoint")
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        query = {
            "response_type": "code",
            "client_id": self._client[0],
            "redirect_uri": self._redirect_uri,
            "scope": "openid",
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        url = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"
        return SigningIn(url=url, state=state, nonce=nonce, verifier=verifier)

    async def finish(self, code: str, begun: SigningIn) -> Identity | None:
        endpoint = await self._endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": begun.verifier,
        }
        token = (await self._issuer.post(endpoint, form, *self._client)).get("id_token")
        if not isinstance(token, str):
            return None
        judged = await self._id_tokens.identify(SecretStr(token))
        if isinstance(judged, Refusal):
            told = {"reason": judged.reason, "key": judged.key, "seldom": judged.reason}
            logger.warning("ID token refused: %s", judged.reason, extra=told)
            return None
        return judged if _is_for(token, begun) else None

    async def _endpoint(self, what: str) -> str:
        # Strangers begin as often as they like, and this server is not to flood the issuer for them.
        url, again_at = self._endpoints.get(what, ("", float("-inf")))
        if time.monotonic() >= again_at:
            url = await named_url(what, self._name, self._issuer)
            self._endpoints[what] = url, time.monotonic() + _BELIEVED_S
        return url


def _is_for(verified: str, begun: SigningIn) -> bool:
    nonce = jwt.decode(verified, options={"verify_signature": False}).get("nonce")
    return isinstance(nonce, str) and hmac.compare_digest(nonce.encode(), begun.nonce.encode())


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
