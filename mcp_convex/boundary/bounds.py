"""How long a call may take and how much it may answer, and what an agent is told beyond that."""

from __future__ import annotations

from mcp_convex.domain.errors import DeadlinePassed, TooLarge

LARGEST_ANSWER = 1_000_000
"""Bytes of JSON: more than any model reads, and more than one call should hold up others for."""


def late(tool: str, deadline_s: float, *, may_change: bool) -> DeadlinePassed:
    """Return what is said of a call that was stopped."""
    look = "It may have taken effect in part: look first, then call again." if may_change else "Call again."
    return DeadlinePassed(
        f"`{tool}` did not end within {deadline_s:g} s and was stopped.",
        next_step=f"{look} If it happens twice, tell the person.",
    )


def too_much(tool: str, size: int) -> TooLarge:
    """Return what is said of an answer of *size* bytes."""
    return TooLarge(
        f"`{tool}` has ended, and its answer of {size:,} bytes is more than the {LARGEST_ANSWER:,} that can be sent.",
        next_step="Ask for less: fewer documents, fewer lines, or a function that returns only what is needed.",
    )
