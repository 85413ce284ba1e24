"""The HTTP API around its operations: the same callers, hosts and narrowing as MCP's, answered without MCP."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.routes import build_resource_metadata_url
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mcp_convex.boundary.audit import Recorded, recorded
from mcp_convex.boundary.bounds import late
from mcp_convex.boundary.hosting import Hosting, Serving
from mcp_convex.boundary.http import Access, Admitting
from mcp_convex.boundary.operations import Call, Operation
from mcp_convex.boundary.problems import Refused, internal_problem, problem, problem_of
from mcp_convex.domain.errors import ActionNotAllowed, ConvexMcpError, InvalidArguments, TooLarge
from mcp_convex.domain.models import Model

logger = logging.getLogger(__name__)

LARGEST_BODY = 16 * 1024
"""Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpApi:
    """What is offered, over what, and to whom."""

    operations: Sequence[Operation]
    document: Callable[[], bytes]
    """Returns the description in OpenAPI, which everybody may read."""
    hosting: Hosting
    access: Access
    tools: frozenset[str]
    """Those that the server offers: an operation whose tool is not among them is refused."""
    vouching: frozenset[str]
    """The clients that may say whose browser they send to a page."""
    deadline_s: float
    """Seconds that a call has."""

    def app(self, admitting: Admitting) -> ASGIApp:
        """Return the application, for calls that *admitting* lets in."""
        routes = [Route(one.path, self._endpoint(one, admitting), methods=[one.method]) for one in self.operations]
        described = Route("/api/openapi.json", self._describe, methods=["GET"])
        return Starlette(routes=[*routes, described], exception_handlers={HTTPException: _unknown})

    def _endpoint(self, operation: Operation, admitting: Admitting) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                self._check_caller(request)
                with admitting(request.scope):
                    answered = await self._carry_out(operation, request)
            except Refused as refused:
                return refused.answer
            except ConvexMcpError as exc:
                logger.info("%s: %s", operation.name, exc.code)
                return problem_of(exc)
            except Exception as exc:  # noqa: BLE001 - the edge: its text may hold a key, so only its type is kept
                logger.error("%s: %s", operation.name, type(exc).__name__)  # noqa: TRY400 - a traceback may hold a key too
                return internal_problem()
            return Response(answered.model_dump_json(), headers=_NO_STORE, media_type="application/json")

        return answer

    async def _carry_out(self, operation: Operation, request: Request) -> Model:
        async with self.hosting.serving(request) as serving:
            if operation.tool not in self.tools or not serving.offers(operation.tool):
                raise ActionNotAllowed(
                    "This server, the token or the URL does not allow that.",
                    next_step="Call with a token and a URL that are not narrowed so far.",
                )
            asked = await _asked(request, operation.asked)
            client = _client(request)
            async with serving.turn(), _recorded(operation, asked, serving) as record:
                services = await serving.services.get()
                call = Call(services=services, serving=serving, client=client, vouches=client in self.vouching)
                with anyio.move_on_after(self.deadline_s):
                    answered = await operation.fn(call, asked)
                    record.outcome = operation.comes_to
                    return answered
                raise late(operation.name, self.deadline_s, may_change=operation.method == "POST")

    def _check_caller(self, request: Request) -> None:
        if self.access.check is None:
            return
        person = request.scope.get("user")
        if not isinstance(person, AuthenticatedUser):
            raise Refused(
                401,
                "invalid_token",
                "The call needs a bearer token that is good here.",
                "Bring one in the header `Authorization`.",
                {"WWW-Authenticate": self._challenge("invalid_token")},
            )
        if lacking := set(self.access.required_scopes).difference(person.scopes):
            raise Refused(
                403,
                "insufficient_scope",
                f"The token lacks the scope {' '.join(sorted(lacking))}.",
                "Bring one that has it.",
                {"WWW-Authenticate": self._challenge("insufficient_scope")},
            )

    def _challenge(self, error: str) -> str:
        if self.access.resource is None:
            return f'Bearer error="{error}"'
        return f'Bearer error="{error}", resource_metadata="{build_resource_metadata_url(self.access.resource[0])}"'

    async def _describe(self, _: Request) -> Response:
        return Response(self.document(), media_type="application/json")


_NO_STORE = {"Cache-Control": "no-store"}


@asynccontextmanager
async def _recorded(operation: Operation, asked: Model, serving: Serving) -> AsyncGenerator[Recorded]:
    arguments = asked.model_dump(mode="json") if operation.method == "POST" else None
    async with recorded(serving, operation.tool, arguments) as record:
        try:
            yield record
        except (ConvexMcpError, Refused) as exc:
            record.outcome = exc.code
            raise


async def _asked(request: Request, kind: type[Model]) -> Model:
    """
    Return what the body says.

    Raises:
        InvalidArguments: It does not have the shape *kind*, or was cut off.
        TooLarge: It has more than `LARGEST_BODY` bytes.
        Refused: Its content type is not JSON.
    """
    body = await _body(request)
    if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "invalid_arguments", "The body is not JSON.", "Send it as `application/json`.")
    try:
        return kind.model_validate_json(body or b"{}")
    except ValidationError as exc:
        wrong = "; ".join(f"`{'.'.join(map(str, error['loc']))}`: {error['msg']}" for error in exc.errors())
        raise InvalidArguments(f"The body is wrong: {wrong}.", next_step="Correct it.") from None


async def _body(request: Request) -> bytes:
    too_large = TooLarge(f"The body has more than {LARGEST_BODY} bytes.", next_step="Say only what is asked.")
    if int(request.headers.get("content-length", 0)) > LARGEST_BODY:  # of digits: the protocol has seen to that
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_BODY:
                raise too_large
    except ClientDisconnect:
        raise InvalidArguments("The body was cut off.", next_step="Send it whole.") from None
    return bytes(body)


def _client(request: Request) -> str:
    person = request.scope.get("user")
    return person.access_token.client_id if isinstance(person, AuthenticatedUser) else ""


async def _unknown(_: Request, exc: Exception) -> Response:
    """Answer what fits no route."""
    if not isinstance(exc, HTTPException):
        raise exc
    return problem(
        exc.status_code,
        "not_found" if exc.status_code == _NOT_FOUND else "method_not_allowed",
        f"There is no such operation: {exc.detail}.",
        "Look at /api/openapi.json.",
        exc.headers,
    )


_NOT_FOUND = 404
