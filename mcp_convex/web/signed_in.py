"""The pages where many people come: each browser signs in first, and sees what is for its person only."""

from __future__ import annotations

import logging
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_convex.boundary.narrowing import DEFAULT_WORKSPACE, workspace_name
from mcp_convex.domain.errors import ConvexMcpError, InputError, InvalidArguments, NotFound
from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports import PagePerson, Visit
from mcp_convex.web import views
from mcp_convex.web.desk import Desks
from mcp_convex.web.guards import Headers
from mcp_convex.web.hosted_pages import TICKET
from mcp_convex.web.seals import Seal
from mcp_convex.web.sessions import Sessions
from mcp_convex.web.site import CONNECT, ROOT, Site, said

logger = logging.getLogger(__name__)

SIGNED_IN: Final = f"{ROOT}/signed-in"
_PARAMETERS = frozenset({"workspace", "scope", TICKET})


class KnownPerson(PagePerson):
    """Whoever has signed in."""

    def __init__(self, principal: PrincipalId) -> None:
        self._principal = principal

    async def who(self, visit: Visit) -> PrincipalId | None:
        del visit
        return self._principal


class SignedInSite:
    """The pages of all principals at one origin."""

    def __init__(self, sessions: Sessions, desks: Desks, seal: Seal, *, origin: str, convex: str) -> None:
        self._sessions = sessions
        self._desks = desks
        self._seal = seal
        self._origin = origin
        self._convex = convex

    def app(self) -> ASGIApp:
        """Return the application, guarded."""
        routes = [
            Route(SIGNED_IN, self._sessions.come_back, methods=["GET"]),
            Route(CONNECT, _App(self._connect), methods=["GET"]),
            Route(f"{ROOT}/pages/{{handle}}", _App(self._show), methods=["GET", "POST"]),
            Route(f"{ROOT}/{{rest:path}}", _App(self._serve), methods=["GET"]),
        ]
        return Headers(
            Starlette(routes=routes), origin=self._origin, style_hash=views.STYLE_HASH, leads_to=self._convex
        )

    async def _connect(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        workspace = _asked(request)
        if ticket := request.query_params.get(TICKET):
            await (await self._let_in(request, ticket))(scope, receive, send)
        else:
            await self._at(request, workspace, receive, send)

    async def _let_in(self, request: Request, ticket: str) -> Response:
        """Take the word of the backend that had *ticket* made: the browser is its person's, and goes on to the page."""
        kept = self._seal.open(TICKET, ticket)
        if kept is None or request.method != "GET":  # what only looks ahead uses no ticket up
            return _no_ticket()
        try:
            principal, workspace = await self._desks.whose(kept["handle"])
            async with self._desks.at(principal, workspace) as desk:
                to = await desk.pages.redeem(kept["handle"])
        except NotFound:
            return _no_ticket()
        return self._sessions.begin(RedirectResponse(to, 303), principal)

    async def _show(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        workspace = DEFAULT_WORKSPACE
        try:
            principal, named = await self._desks.whose(request.path_params["handle"])
            if principal == self._sessions.who(request):  # another's page is found in no workspace
                workspace = named
        except NotFound:
            pass
        await self._at(request, workspace, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._at(Request(scope), DEFAULT_WORKSPACE, receive, send)

    async def _at(self, request: Request, workspace: str, receive: Receive, send: Send) -> None:
        """Answer at the desk of whoever has signed in; nobody else is told whether there is such a page."""
        visitor = self._sessions.who(request)
        if visitor is None:
            answer = await self._send_away(request)
            await answer(request.scope, receive, send)
            return
        async with self._desks.at(visitor, workspace) as desk:
            site = Site(desk, origin=self._origin, convex=self._convex)
            await site.app()(request.scope, receive, send)

    async def _send_away(self, request: Request) -> Response:
        if request.method != "GET" or "rest" in request.path_params:  # nobody begins there
            return said(403, "You are not signed in", "Open the link that your assistant gave you once more.")
        query = f"?{request.url.query}" if request.url.query else ""
        return await self._sessions.send_away(f"{request.url.path}{query}")


class _App:
    """An ASGI application as an endpoint, for every method; what it raises comes before its answer has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except InputError as exc:
            await said(400, "That address is wrong", exc.message, exc.next_step)(scope, receive, send)
        except ConvexMcpError as exc:
            logger.warning("pages: %s", exc.code, extra={"seldom": exc.code})
            await said(503, "That does not work now", exc.message, exc.next_step)(scope, receive, send)


def _asked(request: Request) -> str:
    """
    Return the workspace that the address of `CONNECT` names.

    Raises:
        InvalidArguments: The address has a parameter that is unknown, comes twice or is wrong.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if not _PARAMETERS.issuperset(names) or len(set(names)) < len(names):
        raise InvalidArguments("Its parameters are `workspace` and `scope`, each once.", next_step="Correct them.")
    return workspace_name(request.query_params.get("workspace", DEFAULT_WORKSPACE))


def _no_ticket() -> Response:
    return said(
        403,
        "This link is used up",
        "It worked once, and for two minutes.",
        "Go back to the app that brought you here, and begin there anew.",
    )
