"""A service of the outside world, which answers every request in one way, as an action's `fetch` finds it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.doubles.deployment import served


@contextlib.asynccontextmanager
async def service_that_says(text: str) -> AsyncIterator[str]:
    """Serve it, and yield its URL."""

    async def answer(_: Request) -> Response:
        return Response(text)

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    async with served(app, lambda: None) as url:
        yield url
