"""Log entries as an agent reads them: one for each execution, its pieces put together."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mcp_convex.convex_api.wire import KINDS, WireLogEntry, function_name
from mcp_convex.domain.models import LogEntry

_SYSTEM = "_system/"


def just_before(cursor: str) -> str:
    """
    Return the cursor that leads to the entry which *cursor* comes after, and to what is later.

    Asked with it, a deployment answers at once, also where nothing was logged since: each
    entry has a cursor of its own (convex-backend 2026-08), and that one is the last.
    """
    return repr(math.nextafter(float(cursor), 0.0))


def merged(pieces: Iterable[WireLogEntry]) -> tuple[LogEntry, ...]:
    """Return one entry for each execution, in the order in which they were first heard of."""
    executions: dict[str, list[WireLogEntry]] = {}
    for piece in pieces:
        if not piece.identifier.startswith(_SYSTEM):
            executions.setdefault(piece.execution_id or f"unnamed {len(executions)}", []).append(piece)
    return tuple(_entry(pieces) for pieces in executions.values())


def _entry(pieces: list[WireLogEntry]) -> LogEntry:
    last = pieces[-1]
    over = last.kind == "Completion"
    return LogEntry(
        at=last.timestamp,
        function=function_name(last.identifier),
        kind=KINDS[last.udf_type],
        request_id=last.request_id,
        duration_ms=round(last.execution_time * 1000, 3) if last.execution_time is not None else None,
        success=last.error is None if over else None,
        error=last.error,
        lines=tuple(line for piece in pieces for line in piece.log_lines),
    )
