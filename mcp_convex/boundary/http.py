"""MCP over Streamable HTTP, in both protocol eras: who may call at all, and what stands around the SDK's transport."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.provider import TokenVerifier as SdkTokenVerifier
from mcp.server.auth.routes import build_resource_metadata_url, create_protected_resource_routes
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl, ConfigDict, SecretStr, TypeAdapter
from starlette.applications import Starlette
from starlette.authentication import AuthenticationError
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_convex.boundary.health import Health, Watched
from mcp_convex.boundary.names import by_known_names
from mcp_convex.boundary.narrowing import Narrowing, by_query
from mcp_convex.boundary.problems import Refused, problem, problem_of
from mcp_convex.boundary.request_ids import RequestIds
from mcp_convex.boundary.server import ConvexServer
from mcp_convex.boundary.strict import OneMeaning
from mcp_convex.domain.errors import InvalidArguments
from mcp_convex.domain.identity import CannotJudge, Identity, Refusal, SignIn, TokenCheck
from mcp_convex.domain.models import LOCAL_PRINCIPAL, PrincipalId

logger = logging.getLogger(__name__)

PATH = "/mcp"

_EXACT_URL = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))
_NARROWING = "mcp_convex.narrowing"
_PRINCIPAL = "mcp_convex.principal"
_IS_STREAM = "mcp_convex.is_stream"
_LONGEST_TOKEN = 16_384
"""Characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may call, and by which names."""

    check: TokenCheck | None
    """None admits everybody who reaches the port, as the person at this machine."""
    required_scopes: Sequence[str] = ()
    resource: tuple[AnyHttpUrl, AnyHttpUrl] | None = None
    """What this server is to an issuer, and the issuer; both exactly as they are given (`exact_url`)."""
    hosts: Sequence[str]
    origins: Sequence[str] = ()
    sign_in: SignIn | None = None
    """How browsers sign in; None where they cannot."""
    at_once: int = 1_000
    """Calls, of all principals together; streams that clients hold open are none."""


Caller = tuple[PrincipalId, Narrowing]
"""Who calls, and what they may use."""
CallAs = Callable[[Caller, Scope, Receive, Send], Awaitable[None]]
"""Serves a call of somebody who was recognised otherwise than by a token."""
Admitting = Callable[[Scope], AbstractContextManager[None]]
"""Lets a call in that is not MCP's: `HttpFront.admitting`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is served at the same port, beside MCP."""

    pages: ASGIApp | None = None
    panel: Callable[[CallAs], Sequence[Route]] | None = None
    api: Callable[[Admitting], ASGIApp] | None = None
    watched: Watched = field(default_factory=Watched)


def exact_url(url: str) -> AnyHttpUrl:
    """Return *url* as it is: names of issuers and resources are compared letter by letter."""
    return _EXACT_URL.validate_python(url)


class HttpFront:
    """The ASGI application around one server, which can be asked to let no new call in."""

    def __init__(
        self, server: ConvexServer, access: Access, toolsets: Collection[str], beside: Beside | None = None
    ) -> None:
        # The SDK's check of Host and Origin would cover MCP alone; `by_known_names` covers all that is served here.
        server.streamable_http_app(transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False))
        self._server = server
        self._manager = server.session_manager
        self._toolsets = toolsets
        self._transport = StreamableHTTPASGIApp(self._manager)
        self._under_way = 0
        self._at_once = access.at_once
        self._empty = asyncio.Event()
        self._draining = False
        names = by_known_names(access.hosts, access.origins)
        self.app = Starlette(
            routes=[*self._routes(access), *self._beside(beside or Beside())],
            middleware=[Middleware(RequestIds), Middleware(OneMeaning), *names, *_identifying(access.check)],
        )

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Serve sessions for the block, and end them with it, and the streams that clients hold open."""
        async with self._manager.run():
            try:
                yield
            finally:
                self._server.end_streams()

    async def drain(self) -> None:
        """Let no new call in, and return when those under way have their answers."""
        self._draining = True
        while self._under_way:
            self._empty.clear()
            await self._empty.wait()

    def _routes(self, access: Access) -> list[Route]:
        if access.check is None:
            return [Route(PATH, endpoint=AsgiEndpoint(self._call))]
        scopes = list(access.required_scopes)
        if access.resource is None:
            return [Route(PATH, endpoint=RequireAuthMiddleware(self._call, scopes))]
        resource, issuer = access.resource
        calls = RequireAuthMiddleware(self._call, scopes, build_resource_metadata_url(resource))
        return [Route(PATH, endpoint=calls), *create_protected_resource_routes(resource, [issuer], scopes)]

    def _beside(self, beside: Beside) -> Iterator[Route]:
        yield from Health(beside.watched, lambda: self._draining).routes()
        if beside.pages is not None:
            yield Route("/convex/{page:path}", endpoint=beside.pages)
        if beside.panel is not None:
            yield from beside.panel(self._call_as)
        if beside.api is not None:
            yield Route("/api/{path:path}", endpoint=beside.api(self.admitting))

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            scope[_NARROWING] = by_query(Request(scope).query_params, self._toolsets)
        except InvalidArguments as exc:
            await problem_of(exc)(scope, receive, send)
            return
        await self._serve(scope, receive, send)

    async def _call_as(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_PRINCIPAL], scope[_NARROWING] = caller
        await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        scope[_IS_STREAM] = request.method != "POST" or request.headers.get("mcp-method") == "subscriptions/listen"
        try:
            with self._let_in(scope), suppress(ClientDisconnect):  # who has hung up is answered nothing
                await self._transport(scope, receive, send)
        except Refused as refused:
            await refused.answer(scope, receive, send)

    @contextmanager
    def _let_in(self, scope: Scope) -> Generator[None]:
        """
        Let a call in that is narrowed already; `drain` waits for its end, unless it is a stream.

        Raises:
            Refused: The server is ending, or has as much to do as it can.
        """
        if self._draining:
            raise Refused(503, "draining", "This server is ending.", "Call again; another takes over.")
        if scope.get(_IS_STREAM, False):
            yield
            return
        if self._under_way >= self._at_once:
            raise Refused(503, "busy", "This server is busy.", "Call again in a moment.", {"Retry-After": "2"})
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._empty.set()

    @contextmanager
    def admitting(self, scope: Scope) -> Generator[None]:
        """
        Let a call in that is not MCP's, narrowed as its URL says.

        Raises:
            Refused: The server is ending.
            InvalidArguments: The URL is not understood.
        """
        scope[_NARROWING] = by_query(Request(scope).query_params, self._toolsets)
        with self._let_in(scope):
            yield


def is_stream(request: Request) -> bool:
    """Say whether *request* asks for a stream that the client holds open, for whose end nobody waits."""
    return bool(request.scope.get(_IS_STREAM))


def caller(request: Request) -> Caller:
    """Return who sent *request* to a front, and what they may use."""
    narrowing: Narrowing = request.scope[_NARROWING]
    if _PRINCIPAL in request.scope:
        return request.scope[_PRINCIPAL], narrowing
    person = request.scope.get("user")
    if not isinstance(person, AuthenticatedUser):
        return LOCAL_PRINCIPAL, narrowing
    token = person.access_token
    identity = Identity(issuer=(token.claims or {})["iss"], subject=token.subject or "")
    return identity.principal, narrowing.by_scopes(token.scopes)


class AsgiEndpoint:
    """An ASGI application as an endpoint: Starlette would call a bare function with a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _Unjudged(AuthenticationError):
    """Carries `CannotJudge` through Starlette."""


class _Verifier(SdkTokenVerifier):
    """The SDK's way of asking a `TokenCheck`."""

    def __init__(self, check: TokenCheck) -> None:
        self._check = check

    async def verify_token(self, token: str) -> AccessToken | None:
        identity = await self._judged(token)
        if isinstance(identity, Refusal):
            told = {"reason": identity.reason, "key": identity.key, "seldom": identity.reason}
            logger.warning("token refused: %s, key %s", identity.reason, identity.key or "not named", extra=told)
            return None
        return AccessToken(
            token="",  # nobody behind this needs it
            client_id=identity.client,
            scopes=sorted(identity.scopes),
            expires_at=identity.expires_at,
            subject=identity.subject,
            claims={"iss": identity.issuer},
        )

    async def _judged(self, token: str) -> Identity | Refusal:
        if len(token) > _LONGEST_TOKEN:
            return Refusal(reason="too_long")
        try:
            return await self._check.identify(SecretStr(token))
        except CannotJudge as exc:
            logger.warning("tokens cannot be checked: %s", exc, extra={"seldom": "unjudged"})
            raise _Unjudged from exc


def _identifying(check: TokenCheck | None) -> list[Middleware]:
    if check is None:
        return []
    backend = BearerAuthBackend(_Verifier(check))
    return [
        Middleware(AuthenticationMiddleware, backend=backend, on_error=_unjudged),
        Middleware(AuthContextMiddleware),
    ]


def _unjudged(_: HTTPConnection, __: AuthenticationError) -> Response:
    later = {"Retry-After": "5"}
    return problem(503, "issuer_unreachable", "Tokens cannot be checked now.", "Call again in a while.", later)
