"""What goes to standard error, and what never does."""

from __future__ import annotations

import logging

from mcp_convex.domain.secrets import redact

_TALKATIVE = (
    "httpx2",
    "watchfiles",
    "httpcore2",
    "mcp",
    "websockets",
    "alembic",
    "sqlalchemy",
    "aiosqlite",
    "asyncio",
    "sse_starlette",
)
"""Libraries that log URLs, payloads or tracebacks: each of those may hold what the log must not."""


def set_up(level: str) -> None:
    """Log to standard error from *level* on. Call it before the SDK is built, which else sets up its own."""
    shown = logging.StreamHandler()
    shown.setFormatter(_RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[shown], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # An answer cut short by the end of the server is no error, and uvicorn knows no finer way to say so.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


class _RedactingFormatter(logging.Formatter):
    """The second lock: masks what is shaped like a secret, and leaves tracebacks out."""

    def format(self, record: logging.LogRecord) -> str:
        line = redact(super().format(_without_traceback(record)))
        return line if record.exc_info is None else f"{line} ({_type_name(record)})"


def _without_traceback(record: logging.LogRecord) -> logging.LogRecord:
    bare = logging.makeLogRecord(record.__dict__)
    bare.exc_info = bare.exc_text = bare.stack_info = None
    return bare


def _type_name(record: logging.LogRecord) -> str:
    kind = record.exc_info[0] if record.exc_info else None
    return kind.__name__ if kind else "no exception"
