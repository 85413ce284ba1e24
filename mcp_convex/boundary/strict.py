"""Refusing requests that a proxy in front could read differently from this server, as request smuggling needs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from mcp_convex.boundary.problems import problem

_ONCE = frozenset(
    {b"authorization", b"content-length", b"content-type", b"cookie", b"host", b"origin", b"transfer-encoding"}
)
"""Headers that a request may have once: of two, a proxy in front may have looked at the other one."""
_HOST = re.compile(rb"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_HEAD_ENDS = re.compile(rb"\r?\n\r?\n")
_UNEVEN = re.compile(rb"\n[ \t]|(?<!\r)\n")
"""A header over several lines (RFC 9112, 5.2), or a line that ends with less than CRLF (2.2)."""


class StrictHttp(H11Protocol):
    """uvicorn's HTTP/1.1, which reads no header that goes on in another line."""

    def handle_events(self) -> None:
        if self.conn.their_state is h11.IDLE and _is_uneven(self.conn.trailing_data[0]):
            self.send_400_response("Invalid HTTP request received.")
            return
        super().handle_events()


class OneMeaning:
    """Lets requests through to *app* whose headers do not contradict one another; after others it hangs up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _has_one_meaning(scope["headers"]):
            await self._app(scope, receive, send)
            return
        refusal = problem(
            400,
            "ambiguous_request",
            "The headers contradict one another.",
            "Send each header once, and the body with a length or in chunks.",
            {"Connection": "close"},  # what comes next on it may be the body of this one
        )
        await refusal(scope, receive, send)


def _is_uneven(received: bytes) -> bool:
    return _UNEVEN.search(_HEAD_ENDS.split(received.lstrip(b"\r\n"), 1)[0]) is not None


def _has_one_meaning(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    count = Counter(name for name, _ in headers)
    hosts = [value for name, value in headers if name == b"host"]
    return (
        all(count[name] <= 1 for name in _ONCE)
        and not (count[b"content-length"] and count[b"transfer-encoding"])
        and all(_HOST.fullmatch(host) for host in hosts)
    )
