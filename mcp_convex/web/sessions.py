"""Whose browser it is, where many people come: by the issuer, or by a backend that the operator trusts to say so."""

from __future__ import annotations

import hmac
import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mcp_convex.domain.identity import CannotJudge, SignIn, SigningIn
from mcp_convex.domain.models import PrincipalId
from mcp_convex.web.seals import Seal
from mcp_convex.web.site import said

logger = logging.getLogger(__name__)

PERSON_LIFE_S = 60 * 60
_WAY_LIFE_S = 10 * 60
_WAY: Final = "signing-in"
_PERSON: Final = "person"


class Sessions:
    """What a browser keeps of its person, for an hour, and how it comes by that."""

    def __init__(self, sign_in: SignIn | None, seal: Seal, *, origin: str) -> None:
        self._sign_in = sign_in
        self._seal = seal
        self._secure = origin.startswith("https:")

    def who(self, request: Request) -> PrincipalId | None:
        """Return the person who has signed in at the browser that sent *request*."""
        known = self._seal.open(_PERSON, request.cookies.get(self._name(_PERSON)))
        return None if known is None else PrincipalId(known["principal"])

    def begin(self, response: Response, principal: PrincipalId) -> Response:
        """Have the browser that gets *response* be *principal*'s from now on."""
        self._keep(response, _PERSON, PERSON_LIFE_S, principal=principal)
        return response

    async def send_away(self, to: str) -> Response:
        """Send a browser that nobody has signed in at to the issuer, and from there back to *to*, a path of ours."""
        if self._sign_in is None:
            return said(403, "You are not signed in", "Go back to the app that brought you here, and begin there anew.")
        try:
            begun = await self._sign_in.begin()
        except CannotJudge as exc:
            return _away(exc)
        response = RedirectResponse(begun.url, 303)
        self._keep(response, _WAY, _WAY_LIFE_S, to=to, begun=begun.model_dump_json())
        return response

    async def come_back(self, request: Request) -> Response:
        """Take up the way back from the issuer."""
        kept = self._seal.open(_WAY, request.cookies.get(self._name(_WAY)))
        query = request.query_params
        if self._sign_in is None or kept is None or "code" not in query:
            return _not_signed_in()
        begun = SigningIn.model_validate_json(kept["begun"])
        if not hmac.compare_digest(query.get("state", "").encode(), begun.state.encode()):
            return _not_signed_in()
        try:
            identity = await self._sign_in.finish(query["code"], begun)
        except CannotJudge as exc:
            return _away(exc)
        if identity is None:
            return _not_signed_in()
        response = RedirectResponse(kept["to"], 303)
        response.delete_cookie(self._name(_WAY), path="/", secure=self._secure, httponly=True)
        return self.begin(response, identity.principal)

    def _keep(self, response: Response, use: str, life_s: int, **kept: str) -> None:
        response.set_cookie(
            self._name(use),
            self._seal.close(use, life_s, **kept),
            max_age=life_s,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",  # a Strict one would not come back from the issuer
        )

    def _name(self, use: str) -> str:
        return f"{'__Host-' if self._secure else ''}mcp_convex_{use}"


def _not_signed_in() -> Response:
    return said(
        403,
        "You are not signed in",
        "That did not come from this browser, or took too long.",
        "Allow cookies for this address, and open the link that your assistant gave you once more.",
    )


def _away(exc: CannotJudge) -> Response:
    logger.warning("pages: signing in failed: %s", exc, extra={"seldom": "signing in"})
    return said(503, "Signing in does not work now", "Open the link again in a while.")
