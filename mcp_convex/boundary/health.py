"""What an operator's machines ask: does it live, can it serve, and how does it fare."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mcp_convex.domain.errors import ConvexMcpError

_ASKED_EVERY_S = 1.0
_ANSWER_S = 2.0
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


async def _nothing_to_check() -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is told of a server."""

    check: Callable[[], Awaitable[None]] = _nothing_to_check
    """Returns where the store answers, and raises a `ConvexMcpError` where not."""
    metrics: Callable[[], bytes] | None = None
    """None keeps them to itself."""


class Health:
    """The health of one server, which `is_draining` once it has been told to end."""

    def __init__(self, watched: Watched, is_draining: Callable[[], bool]) -> None:
        self._watched = watched
        self._is_draining = is_draining
        self._asking: asyncio.Future[None] | None = None
        self._asked_at = 0.0

    def routes(self) -> list[Route]:
        """Return where it is asked, without a token."""
        told = [Route("/healthz", endpoint=_alive), Route("/readyz", endpoint=self._ready)]
        return told if self._watched.metrics is None else [*told, Route("/metrics", endpoint=self._metrics)]

    async def _ready(self, _: Request) -> Response:
        if self._is_draining():
            return PlainTextResponse("draining\n", 503)
        failure = await self._failure()
        return PlainTextResponse("ready\n") if failure is None else PlainTextResponse(f"{failure}\n", 503)

    async def _failure(self) -> str | None:
        if self._asking is None or (self._asking.done() and time.monotonic() - self._asked_at > _ASKED_EVERY_S):
            self._asking, self._asked_at = asyncio.ensure_future(self._watched.check()), time.monotonic()
        await asyncio.wait({self._asking}, timeout=_ANSWER_S)  # unlike `wait_for`, it lets the check go on
        if not self._asking.done():
            return "store_silent"
        match self._asking.exception():
            case None:
                return None
            case ConvexMcpError() as exc:
                return exc.code
            case exc:
                return type(exc).__name__

    async def _metrics(self, _: Request) -> Response:
        shown = self._watched.metrics() if self._watched.metrics else b""
        return Response(shown, media_type=_METRICS_TYPE)


async def _alive(_: Request) -> Response:
    return PlainTextResponse("alive\n")
