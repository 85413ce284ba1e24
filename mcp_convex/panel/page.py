"""The panel as a page: a browser that is known by its cookie calls the same server as any client, and less of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mcp_convex.boundary.http import AsgiEndpoint, CallAs
from mcp_convex.boundary.narrowing import Narrowing, by_query
from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.models import LOCAL_PRINCIPAL, PrincipalId
from mcp_convex.panel.document import POLICY, for_page, script, style_sheet

PANEL = "/panel"

_TOOLSETS = ("connection", "projects", "env", "push")
"""What the panel calls: it has no business with an app's files and data."""


class Door(Protocol):
    """How the panel knows whose browser it is."""

    def who(self, request: Request) -> PrincipalId | None:
        """Return whose browser it is; None where nobody has signed in at it."""
        ...

    async def send_away(self, to: str) -> Response:
        """Have the browser sign in, and come back to the path *to* of this server."""
        ...


class OpenDoor:
    """Everybody who reaches the port is the person at this machine, as with every other call."""

    def who(self, request: Request) -> PrincipalId | None:
        del request
        return LOCAL_PRINCIPAL

    async def send_away(self, to: str) -> Response:
        raise RuntimeError(f"nobody has to sign in for {to}")


def panel_routes(door: Door | None) -> Callable[[CallAs], Sequence[Route]]:
    """Return what makes the panel's routes; none where no *door* can know its person."""
    return lambda call_as: [] if door is None else _Page(door, call_as).routes()


class _Page:
    """The page, and the calls that it makes."""

    def __init__(self, door: Door, call_as: CallAs) -> None:
        self._door = door
        self._call_as = call_as

    def routes(self) -> Sequence[Route]:
        return (
            Route(PANEL, endpoint=self._show, methods=["GET"]),
            Route(f"{PANEL}/panel.js", endpoint=_script, methods=["GET"]),
            Route(f"{PANEL}/panel.css", endpoint=_style, methods=["GET"]),
            Route(f"{PANEL}/mcp", endpoint=AsgiEndpoint(self._pass), methods=["POST"]),
        )

    async def _show(self, request: Request) -> Response:
        if (wrong := _wrong_with(request)) is not None:
            return wrong
        if self._door.who(request) is None:
            return await self._door.send_away(f"{PANEL}?{request.query_params}")
        return HTMLResponse(for_page(PANEL), headers={**_HEADERS, "Content-Security-Policy": POLICY})

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        principal = self._door.who(request)
        if not _is_from_here(request):
            await PlainTextResponse("Another site may not call for you.\n", 403)(scope, receive, send)
        elif principal is None:
            await PlainTextResponse("Sign in again.\n", 401)(scope, receive, send)
        elif (wrong := _wrong_with(request)) is not None:
            await wrong(scope, receive, send)
        else:
            await self._call_as((principal, _narrowed(request)), scope, receive, send)


async def _script(_: Request) -> Response:
    return Response(script("page"), media_type="text/javascript", headers=_HEADERS)


async def _style(_: Request) -> Response:
    return Response(style_sheet(), media_type="text/css", headers=_HEADERS)


_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def _wrong_with(request: Request) -> Response | None:
    try:
        _narrowed(request)
    except ConvexMcpError as exc:
        return PlainTextResponse(f"{exc.message}\n", 400)
    return None


def _narrowed(request: Request) -> Narrowing:
    """
    Return what the page may use.

    Raises:
        InvalidArguments: Its URL is not as it should be.
    """
    asked = by_query(request.query_params, _TOOLSETS)
    return replace(asked, toolsets=asked.toolsets or frozenset(_TOOLSETS))


def _is_from_here(request: Request) -> bool:
    """Say whether a page of this server makes the call: a browser names the page's origin with each."""
    return urlsplit(request.headers.get("origin", "")).netloc == request.headers.get("host")
