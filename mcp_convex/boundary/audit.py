"""The record of each call, whatever becomes of it: counted, traced, logged, and audited if it may change something."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.shared.exceptions import UrlElicitationRequiredError
from mcp.types import CallToolResult, InputRequiredResult

from mcp_convex.boundary.hosting import Serving
from mcp_convex.boundary.opening import LazyServices
from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.spans import note

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Recorded:
    """A call under way."""

    answer: CallToolResult | InputRequiredResult | None = None
    """MCP's answer, which tells the outcome."""
    outcome: str = "cancelled"
    """What the call came to, where *answer* is None."""


@asynccontextmanager
async def recorded(serving: Serving, tool: str, arguments: dict[str, Any] | None) -> AsyncGenerator[Recorded]:
    """
    Keep what the call inside the block came to. Its answer does not depend on whether that can be kept.

    Args:
        arguments: None where the call can change nothing: then it is not audited.
    """
    started = time.monotonic()
    call = Recorded()
    try:
        yield call
    except UrlElicitationRequiredError:  # how the link reaches a client that takes no requests of ours
        call.outcome = "asked"
        raise
    finally:
        duration_s, outcome = time.monotonic() - started, _outcome(call)
        serving.meter.called(tool, outcome, duration_s)
        note(outcome=outcome)
        logger.info("%s: %s", tool, outcome, extra={"tool": tool, "outcome": outcome, "duration_s": duration_s})
        if arguments is not None:
            with anyio.CancelScope(shield=True):
                await _keep(serving.services, tool, arguments, outcome, duration_s)


async def _keep(services: LazyServices, tool: str, arguments: dict[str, Any], outcome: str, duration_s: float) -> None:
    try:
        audit = (await services.get()).audit
        await audit.record(tool, arguments, outcome=outcome, duration_s=duration_s)
    except ConvexMcpError as exc:
        logger.warning("audit of %s: %s", tool, exc.code)


def _outcome(call: Recorded) -> str:
    match call.answer:
        case None:
            return call.outcome
        case InputRequiredResult():
            return "asked"
        case CallToolResult(is_error=True, structured_content={"error": {"code": str(code)}}):
            return code
        case CallToolResult(structured_content={"outcome": str(outcome)}):
            return outcome
        case _:
            return "ok"
