"""Reading what the deployment's functions logged."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_convex.domain.errors import InvalidArguments
from mcp_convex.domain.function_names import canonical
from mcp_convex.domain.models import LogEntry, LogPage
from mcp_convex.domain.ports import DeploymentApi
from mcp_convex.services.excerpts import check_limit, excerpt_lines, excerpt_text, fitting, size_of_model
from mcp_convex.services.targets import TargetService

MOST_ENTRIES = 200
LONGEST_WAIT_S = 30
"""Clients give a call up after 60, unless told otherwise."""

_CURSOR = re.compile(r"\d{1,16}(?:\.\d{1,9})?")
"""Milliseconds, as the deployment counts them."""
_LINES = 20
_LINE = 500
_ERROR = 2_000


class LogService:
    def __init__(self, api: DeploymentApi, targets: TargetService) -> None:
        self._api = api
        self._targets = targets

    async def read(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        function: str | None = None,
        only_errors: bool = False,
        wait_s: float = 0,
    ) -> LogPage:
        """
        Return the latest *limit* executions after *cursor*, fewer where they are large, the oldest first.

        Args:
            function: Only of functions whose name contains this.
            wait_s: Seconds to wait where nothing was logged yet, at most 30.

        Raises:
            InvalidArguments: *limit* or *cursor* is out of range.
        """
        check_limit(limit, MOST_ENTRIES)
        if cursor and not _CURSOR.fullmatch(cursor):
            raise InvalidArguments(
                "That cursor did not come from `read_logs`.",
                next_step="Call `read_logs` without a cursor to see the latest entries.",
            )
        reach = await self._targets.reach()
        page = await self._api.read_logs(reach, cursor=cursor or None, wait_s=min(max(wait_s, 0), LONGEST_WAIT_S))
        wanted = [entry for entry in page.entries if _is_wanted(entry, function, only_errors=only_errors)]
        return _bounded(page, wanted, limit)


def _is_wanted(entry: LogEntry, function: str | None, *, only_errors: bool) -> bool:
    if only_errors and entry.success is not False:
        return False
    return not function or function.lower() in entry.function.lower() or canonical(function) == entry.function


def _bounded(page: LogPage, wanted: Sequence[LogEntry], limit: int) -> LogPage:
    latest = [_trimmed(entry) for entry in wanted[-limit:]]
    shown = fitting(reversed(latest), size_of_model)
    return LogPage(entries=tuple(latest[-shown:] if shown else ()), cursor=page.cursor, omitted=len(wanted) - shown)


def _trimmed(entry: LogEntry) -> LogEntry:
    error = entry.error and excerpt_text(entry.error, _ERROR)
    return entry.model_copy(update={"error": error, "lines": excerpt_lines(entry.lines, most=_LINES, longest=_LINE)})
