"""What functions logged: the latest entries, and waiting for the next."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_convex.embedded.access import Access
from mcp_convex.embedded.refusals import bad_request
from mcp_convex.embedded.signals import Signal

Entry = dict[str, Any]

_KEPT = 1000
_POLL_S = 60.0


class Logs:
    """The latest entries, each with the cursor under which it was put: milliseconds, rising."""

    def __init__(self) -> None:
        self._entries: deque[tuple[float, Entry]] = deque(maxlen=_KEPT)
        self._last_ms = 0.0
        self._closed = False
        self.added = Signal()

    def close(self) -> None:
        """Answer whoever waits, for the server is about to end."""
        self._closed = True
        self.added.notify()

    def add(self, entry: Entry) -> None:
        """Keep *entry*; the oldest beyond a bound go."""
        self._last_ms = max(time.time() * 1000, self._last_ms + 0.001)
        self._entries.append((self._last_ms, entry))
        self.added.notify()

    def after(self, cursor_ms: float) -> tuple[list[Entry], float]:
        """Return what was put after *cursor_ms*, and the cursor to go on from."""
        found = [(at, entry) for at, entry in self._entries if at > cursor_ms]
        return [entry for _, entry in found], found[-1][0] if found else cursor_ms

    async def wait_after(self, cursor_ms: float, timeout_s: float) -> tuple[list[Entry], float]:
        """Return as `after` does, as soon as there is something or *timeout_s* seconds are over."""
        with anyio.move_on_after(timeout_s):
            while not self._closed and not self.after(cursor_ms)[0]:
                await self.added.wait()
        return self.after(cursor_ms)


class LogRoutes:
    def __init__(self, logs: Logs, access: Access) -> None:
        self._logs = logs
        self._access = access

    def routes(self) -> list[Route]:
        """Return the routes of the log stream."""
        return [
            Route("/api/stream_function_logs", self.stream),
            Route("/api/stream_udf_execution", self.stream),
        ]

    async def stream(self, request: Request) -> Response:
        """Answer with the entries after `cursor`, at once or when there are some, and after `wait_s` in any case."""
        self._access.check_admin(request)
        try:
            cursor_ms = float(request.query_params.get("cursor", "0"))
            wait_s = float(request.query_params.get("wait_s", _POLL_S))
        except ValueError:
            raise bad_request("BadCursor", "The cursor is no number.") from None
        entries, new_cursor = await self._logs.wait_after(cursor_ms, min(_POLL_S, wait_s))
        return JSONResponse({"entries": entries, "newCursor": new_cursor})
