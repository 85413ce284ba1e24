"""Which request is being served: what ties the lines of the log, the spans and the client's own record together."""

from __future__ import annotations

from contextvars import ContextVar

REQUEST_ID: ContextVar[str | None] = ContextVar("REQUEST_ID", default=None)
