"""The pages where many people come: each browser signs in first, and sees what is for its person only."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_convex.domain.identity import CannotJudge, SignIn, SigningIn
from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports import PagePerson, Visit
from mcp_convex.web import views
from mcp_convex.web.desk import Desk
from mcp_convex.web.guards import Headers
from mcp_convex.web.seals import Seal
from mcp_convex.web.site import ROOT, Site

logger = logging.getLogger(__name__)

SIGNED_IN: Final = f"{ROOT}/signed-in"
PERSON_LIFE_S = 60 * 60
_WAY_LIFE_S = 10 * 60
_WAY, _PERSON = "signing-in", "person"

DeskOf = Callable[[PrincipalId, str | None], AbstractAsyncContextManager[Desk]]
"""Opens the desk for a principal, at the workspace that the page of that handle is about."""


class KnownPerson(PagePerson):
    """Whoever has signed in."""

    def __init__(self, principal: PrincipalId) -> None:
        self._principal = principal

    async def who(self, visit: Visit) -> PrincipalId | None:
        del visit
        return self._principal


class SignedInSite:
    """The pages of all principals at one origin."""

    def __init__(self, sign_in: SignIn, desk_of: DeskOf, seal: Seal, *, origin: str, convex: str) -> None:
        self._sign_in = sign_in
        self._desk_of = desk_of
        self._seal = seal
        self._origin = origin
        self._convex = convex
        self._secure = origin.startswith("https:")

    def app(self) -> ASGIApp:
        """Return the application, guarded."""
        routes = [
            Route(SIGNED_IN, self._come_back, methods=["GET"]),
            Route(f"{ROOT}/pages/{{handle}}", _App(self._serve)),
            Route(f"{ROOT}/{{rest:path}}", _App(self._serve)),
        ]
        return Headers(
            Starlette(routes=routes), origin=self._origin, style_hash=views.STYLE_HASH, leads_to=self._convex
        )

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        handle: str | None = request.path_params.get("handle")
        known = self._seal.open(_PERSON, request.cookies.get(self._name(_PERSON)))
        if known is None:
            answer = await self._send_away(request, handle)
            await answer(scope, receive, send)
            return
        visitor = PrincipalId(known["principal"])
        async with self._desk_of(visitor, handle) as desk:
            await Site(desk, origin=self._origin, convex=self._convex).app()(scope, receive, send)

    async def _send_away(self, request: Request, handle: str | None) -> Response:
        """Have a browser that nobody has signed in at go to the issuer, and come back to the same page."""
        if request.method != "GET" or handle is None:
            return _said(403, "You are not signed in", "Open the link that your assistant gave you once more.")
        try:
            begun = await self._sign_in.begin()
        except CannotJudge:
            return _away()
        response = RedirectResponse(begun.url, 303)
        self._keep(response, _WAY, _WAY_LIFE_S, handle=handle, begun=begun.model_dump_json())
        return response

    async def _come_back(self, request: Request) -> Response:
        kept = self._seal.open(_WAY, request.cookies.get(self._name(_WAY)))
        query = request.query_params
        if kept is None or "code" not in query:
            return _not_signed_in()
        begun = SigningIn.model_validate_json(kept["begun"])
        if not hmac.compare_digest(query.get("state", "").encode(), begun.state.encode()):
            return _not_signed_in()
        try:
            identity = await self._sign_in.finish(query["code"], begun)
        except CannotJudge:
            return _away()
        if identity is None:
            return _not_signed_in()
        response = RedirectResponse(f"{ROOT}/pages/{kept['handle']}", 303)
        response.delete_cookie(self._name(_WAY), path="/", secure=self._secure, httponly=True)
        self._keep(response, _PERSON, PERSON_LIFE_S, principal=identity.principal)
        return response

    def _keep(self, response: Response, use: str, life_s: int, **said: str) -> None:
        response.set_cookie(
            self._name(use),
            self._seal.close(use, life_s, **said),
            max_age=life_s,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",  # a Strict one would not come back from the issuer
        )

    def _name(self, use: str) -> str:
        return f"{'__Host-' if self._secure else ''}mcp_convex_{use}"


class _App:
    """An ASGI application as an endpoint, for every method."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def _said(status: int, title: str, *sentences: str) -> Response:
    return HTMLResponse(views.message(title, *sentences), status)


def _not_signed_in() -> Response:
    return _said(
        403,
        "You are not signed in",
        "That did not come from this browser, or took too long.",
        "Allow cookies for this address, and open the link that your assistant gave you once more.",
    )


def _away() -> Response:
    logger.warning("pages: the issuer does not answer")
    return _said(503, "Signing in does not work now", "Open the link again in a while.")
