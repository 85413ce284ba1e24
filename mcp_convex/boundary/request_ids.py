"""An id for each request: the client's own, where it names one, or a new one; the answer repeats it."""

from __future__ import annotations

import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_convex.domain.requests import REQUEST_ID

_HEADER = b"x-request-id"
_SCOPE_KEY = "mcp_convex.request_id"
_FIT = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Middleware that names each request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = next((value for name, value in scope.get("headers", ()) if name == _HEADER), b"")
        request_id = given if _FIT.fullmatch(given) else secrets.token_hex(8).encode()
        scope[_SCOPE_KEY] = request_id.decode()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), (_HEADER, request_id)]
            await send(message)

        REQUEST_ID.set(scope[_SCOPE_KEY])
        await self._app(scope, receive, answer)


def name_request(scope: Scope) -> None:
    """Have what this task does count as the request's: another task may have been asked to do it."""
    REQUEST_ID.set(scope.get(_SCOPE_KEY))
