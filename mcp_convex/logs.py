"""What goes to standard error, and what never does."""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from typing_extensions import override

from mcp_convex.domain.requests import REQUEST_ID
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
    "opentelemetry",
    "sse_starlette",
    "urllib3",
)
"""Libraries that log URLs, payloads or tracebacks: each of those may hold what the log must not."""
_TOLD = ("tool", "outcome", "duration_s", "reason", "key", "left_out")
"""What a record may tell beside its message: words of ours, and never what a call says."""
_EVERY_S = 60


def set_up(level: str, form: Literal["text", "json"] = "text") -> None:
    """Log to standard error from *level* on. Call it before the SDK is built, which else sets up its own."""
    shown = logging.StreamHandler()
    shown.addFilter(Sparing())
    shown.setFormatter(_RedactingFormatter() if form == "text" else _JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[shown], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    # An answer cut short by the end of the server is no error, and uvicorn knows no finer way to say so.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)


class Sparing(logging.Filter):
    """
    Lets a line a minute through of each kind that strangers can cause, or they could fill the operator's disk.

    What logs such a line names its kind, as `seldom`. The next one that is let through tells how many were left out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._again_at: dict[tuple[str, str], float] = {}
        self._left_out: Counter[tuple[str, str]] = Counter()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if (seldom := getattr(record, "seldom", None)) is None:
            return True
        now, kind = self._clock(), (record.name, seldom)
        if now < self._again_at.get(kind, now):
            self._left_out[kind] += 1
            return False
        self._again_at[kind] = now + _EVERY_S
        record.left_out = self._left_out.pop(kind, None)
        return True


class _RedactingFormatter(logging.Formatter):
    """The second lock: masks what is shaped like a secret, and leaves tracebacks out."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        line = redact(super().format(_without_traceback(record)))
        request_id = REQUEST_ID.get()
        about = [_type_name(record)] if record.exc_info is not None else []
        about += [f"request {request_id}"] if request_id is not None else []
        about += [f"{left_out} more were left out"] if (left_out := getattr(record, "left_out", None)) else []
        return f"{line} ({', '.join(about)})" if about else line


class _JsonFormatter(logging.Formatter):
    """The same as an object of JSON a line."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
            "request_id": REQUEST_ID.get(),
            "exception": None if record.exc_info is None else _type_name(record),
            **{name: getattr(record, name, None) for name in _TOLD},
        }
        return json.dumps({name: value for name, value in said.items() if value is not None}, ensure_ascii=False)


def _without_traceback(record: logging.LogRecord) -> logging.LogRecord:
    bare = logging.makeLogRecord(record.__dict__)
    bare.exc_info = bare.exc_text = bare.stack_info = None
    return bare


def _type_name(record: logging.LogRecord) -> str:
    kind = record.exc_info[0] if record.exc_info else None
    return kind.__name__ if kind else "no exception"
