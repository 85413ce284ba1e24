"""The pages as an application: each checks whose browser it is, and takes an answer once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, cast, get_args
from urllib.parse import parse_qsl

from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mcp_convex.domain.connections import PendingPage, Scope
from mcp_convex.domain.errors import ConvexMcpError, InputError, InvalidArguments, NotFound
from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports import Visit
from mcp_convex.services.grants import in_words
from mcp_convex.web import views
from mcp_convex.web.desk import Desk
from mcp_convex.web.guards import Browser, Headers, comes_from_here, is_opened

logger = logging.getLogger(__name__)

ROOT = "/convex"
CALLBACK: Final = f"{ROOT}/callback"
CONNECT: Final = f"{ROOT}/connect"
LARGEST_FORM = 64 * 1024
"""Bytes. An env var's value has 8 KiB at most, and escaping can triple it."""

_MOST_FIELDS = 10
_DONE: Mapping[str, str] = {
    "linked": "This workspace works with that deployment from now on.",
    "set": "The value is set. Nobody can read it here.",
    "refused": "As you chose, nothing was set.",
}


class Site:
    """The pages of one server at one origin."""

    def __init__(self, desk: Desk, *, origin: str, convex: str) -> None:
        self._desk = desk
        self._origin = origin
        self._convex = convex

    def app(self) -> ASGIApp:
        """Return the application, guarded."""
        routes = [
            Route(f"{ROOT}/pages/{{handle}}", self._guarded(self._show), methods=["GET"]),
            Route(f"{ROOT}/pages/{{handle}}", self._guarded(self._submit), methods=["POST"]),
            Route(CONNECT, self._guarded(self._begin), methods=["GET"]),
            Route(CALLBACK, self._guarded(self._callback), methods=["GET"]),
            Route(f"{ROOT}/connections/{{id}}", self._guarded(self._outcome), methods=["GET"]),
            Route(f"{ROOT}/done/{{what}}", self._guarded(self._done), methods=["GET"]),
        ]
        return Headers(
            Starlette(routes=routes), origin=self._origin, style_hash=views.STYLE_HASH, leads_to=self._convex
        )

    async def _begin(self, request: Request, visitor: PrincipalId) -> Response:
        """Open a page for connecting, for a person who was not sent to one."""
        del visitor  # whose the desk is
        scope = request.query_params.get("scope", "team")
        if scope not in get_args(Scope) or not is_opened(request):
            return said(400, "That address is wrong", "`scope` is `team` or `project`.")
        opened = await self._desk.connections.connecting(cast("Scope", scope), asked_by=_THEMSELVES).begin()
        return RedirectResponse(opened.link, 303)

    async def _show(self, request: Request, visitor: PrincipalId) -> Response:
        page = await self._desk.pages.find(request.path_params["handle"], visitor)
        browser = self._browser(request)
        token = browser.form_token(page.handle)
        if page.purpose == "env_var":
            return browser.remember(HTMLResponse(views.secret(page, token=token)))
        offer = await self._desk.grants.offer(visitor, page)
        if page.purpose == "team":
            teams = await self._desk.grants.teams_of_cli_login()
            return browser.remember(HTMLResponse(views.choice(offer, teams, token=token)))
        return browser.remember(HTMLResponse(views.consent(page, offer, token=token, convex=self._convex)))

    async def _submit(self, request: Request, visitor: PrincipalId) -> Response:
        handle = request.path_params["handle"]
        form = await _form(request)
        browser = self._browser(request)
        if not comes_from_here(request, self._origin) or not browser.sent(form.get("csrf", ""), handle):
            return said(403, "Not accepted", "This form did not come from the page in this browser.", _COOKIES)
        page = await self._desk.pages.take(handle, visitor)
        try:
            return RedirectResponse(await self._act(visitor, page, form, browser), 303)
        except ConvexMcpError as exc:
            return await self._once_more(page, exc)

    async def _act(self, visitor: PrincipalId, page: PendingPage, form: Mapping[str, str], browser: Browser) -> str:
        """Do what the person chose, and return where they go next."""
        if page.purpose == "env_var" and form.get("way") == "refuse":
            return f"{ROOT}/done/refused"
        if page.purpose == "env_var":
            await self._desk.set_secret(visitor, page, SecretStr(_as_typed(form.get("value", ""))))
            return f"{ROOT}/done/set"
        return await self._connect(visitor, page, form, browser)

    async def _connect(self, visitor: PrincipalId, page: PendingPage, form: Mapping[str, str], browser: Browser) -> str:
        grants = self._desk.grants
        offered = {*(await grants.offer(visitor, page)).ways, "refuse"}
        match form.get("way") if form.get("way") in offered else None:
            case "oauth":
                return await grants.authorize(visitor, page, browser=browser.mark)
            case "deploy_key":
                await grants.use_key(visitor, page, form.get("url", ""), SecretStr(form.get("key", "").strip()))
                return f"{ROOT}/done/linked"
            case "cli_login":
                if "team" not in form and len(await grants.teams_of_cli_login()) > 1:
                    return await self._desk.pages.open("team", page.subject)
                connection = await grants.use_cli_login(visitor, page, form.get("team"))
            case "team_token":
                connection = await grants.use_token(visitor, page, SecretStr(form.get("token", "").strip()))
            case "refuse":
                connection = await grants.refuse(visitor, page)
            case _:
                raise InvalidArguments("The page offers no such thing.", next_step="Choose what it offers.")
        return f"{ROOT}/connections/{connection.id}"

    async def _once_more(self, page: PendingPage, exc: ConvexMcpError) -> Response:
        logger.info("page %s: %s", page.purpose, exc.code)
        link = await self._desk.pages.open(page.purpose, page.subject)
        why = exc.message if page.purpose == "env_var" else in_words(exc)
        return HTMLResponse(views.message("That did not work", why, link=("Try again", link), bad=True), 422)

    async def _callback(self, request: Request, visitor: PrincipalId) -> Response:
        query = request.query_params
        connection = await self._desk.grants.finish(
            visitor, query.get("state", ""), query.get("code"), browser=self._browser(request).mark
        )
        # On to an address without the code, which would otherwise stay in the browser's history.
        return RedirectResponse(f"{ROOT}/connections/{connection.id}", 303)

    async def _outcome(self, request: Request, visitor: PrincipalId) -> Response:
        return HTMLResponse(views.outcome(await self._desk.grants.find(visitor, request.path_params["id"])))

    async def _done(self, request: Request, visitor: PrincipalId) -> Response:
        del visitor
        sentence = _DONE.get(request.path_params["what"])
        return _gone() if sentence is None else said(200, "Done", sentence, views.GO_BACK)

    def _guarded(
        self, endpoint: Callable[[Request, PrincipalId], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                visitor = await self._desk.person.who(_visit(request))
                if visitor is None:
                    return said(403, "Not for you", "This page is for the person whose assistant asked for it.")
                return await endpoint(request, visitor)
            except NotFound:
                return _gone()
            except InputError as exc:
                return said(400, "That did not work", exc.message, exc.next_step)
            except ConvexMcpError as exc:
                logger.info("pages: %s", exc.code)
                return said(502, "That did not work", in_words(exc), "Ask your assistant for a new link.")
            except Exception as exc:  # noqa: BLE001 - the edge: its text may hold a key, so only its type is kept
                logger.error("pages: %s", type(exc).__name__)  # noqa: TRY400 - a traceback may hold a key too
                return said(500, "That did not work", "A bug in mcp-convex stopped the page.")

        return answer

    def _browser(self, request: Request) -> Browser:
        return Browser(request, secure=self._origin.startswith("https:"))


_THEMSELVES = "you, in this browser"
_COOKIES = "Allow cookies for this address, and open the link again."


def _visit(request: Request) -> Visit:
    server = request.scope["server"]
    browser = request.client
    if browser is None or server is None:
        raise NotFound("The connection has no address.", next_step="Open the link in a browser.")
    return Visit(browser=(browser.host, browser.port), server=(server[0], server[1]))


async def _form(request: Request) -> dict[str, str]:
    """
    Return the fields of a form as browsers send it by default.

    Raises:
        InvalidArguments: It is none, or larger than any form of ours.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_FORM:
                break
        if len(body) <= LARGEST_FORM:
            pairs = parse_qsl(
                body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=_MOST_FIELDS
            )
            return dict(pairs)
    except (ValueError, ClientDisconnect):
        pass
    raise InvalidArguments("This is no form of ours.", next_step="Open the link again.")


def _as_typed(value: str) -> str:
    """Return a field of several lines as the person sees it: a form sends CRLF (HTML, 4.10.21.8)."""
    lines = value.replace("\r\n", "\n")
    # What was copied with its whole line is one line all the same.
    return lines.rstrip("\n") if lines.count("\n") == 1 else lines


def said(status: int, title: str, *sentences: str) -> Response:
    """Return a page that only says something."""
    return HTMLResponse(views.message(title, *sentences), status)


def _gone() -> Response:
    return said(
        404,
        "This page is gone",
        "It was used, has expired after ten minutes, or was never there.",
        "Ask your assistant for a new link.",
    )
