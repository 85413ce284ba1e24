"""The app's own HTTP actions, which answer on the site URL and see to CORS themselves."""

from __future__ import annotations

import base64
import secrets

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mcp_convex.embedded.access import Access
from mcp_convex.embedded.bodies import read_bytes
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.identity import Identity
from mcp_convex.embedded.refusals import Refusal

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]
_DEADLINE_S = 600.0
_MAX_BODY = 20 * 1024 * 1024
_NOT_THE_APPS = frozenset({"content-length", "transfer-encoding", "connection"})
"""Headers that belong to one connection, and not to the answer."""


def _target(request: Request) -> str:
    """Return path and query as they were sent: what is escaped in them, such as a slash in a name, stays so."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


class HttpActions:
    def __init__(self, deployment: Deployment, access: Access) -> None:
        self._deployment = deployment
        self._access = access

    def routes(self) -> list[Route]:
        """Return the one route: the app's router decides what is behind it."""
        return [Route("/{path:path}", self.run, methods=_METHODS)]

    async def run(self, request: Request) -> Response:
        """Let the app answer."""
        body = await read_bytes(request, _MAX_BODY)
        answer = await self._deployment.call(
            "http",
            deadline_s=_DEADLINE_S,
            method=request.method,
            url=self._deployment.urls.site + _target(request),
            headers=[[name, value] for name, value in request.headers.items()],
            body=base64.b64encode(body).decode() if body else None,
            identity=await self._identity(request),
            call={"requestId": secrets.token_hex(8), "caller": "HttpEndpoint"},
        )
        response = Response(base64.b64decode(answer["body"] or ""), status_code=answer["status"])
        for name, value in answer["headers"]:
            if name.lower() not in _NOT_THE_APPS:
                response.headers.append(name, value)
        return response

    async def _identity(self, request: Request) -> Identity | None:
        """Return whom the request is from; an app may use the header for something else altogether."""
        try:
            return (await self._access.caller(request)).identity
        except Refusal:
            return None
