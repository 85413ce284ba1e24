"""How files differ, in words that fit into one answer."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

from pydantic import Field

from mcp_convex.domain.models import FilePath, Model

SHOWN_LINES = 400
"""Of all the differences in one answer."""


class Difference(Model):
    """What one file's content was, and what it is then."""

    path: FilePath
    action: Literal["created", "updated", "deleted"]
    diff: str | None = Field(default=None, description="Unified; none where it is no text or the answer is full.")


def differences(sides: Iterable[tuple[FilePath, bytes | None, bytes | None]]) -> tuple[Difference, ...]:
    """Return how each path's content before differs from that after, in words as far as one answer holds them."""
    left = SHOWN_LINES
    found: list[Difference] = []
    for path, before, after in sides:
        lines = list(islice(_diff(path, before, after), left + 1))
        fits = 0 < len(lines) <= left
        left -= len(lines) if fits else 0
        action: Literal["created", "updated", "deleted"] = (
            "deleted" if after is None else "created" if before is None else "updated"
        )
        found.append(Difference(path=path, action=action, diff="\n".join(lines) if fits else None))
    return tuple(found)


def _diff(path: FilePath, before: bytes | None, after: bytes | None) -> Iterator[str]:
    try:
        was, will_be = ((data or b"").decode().splitlines() for data in (before, after))
    except UnicodeDecodeError:
        return iter(())
    return difflib.unified_diff(was, will_be, path, path, lineterm="", n=2)
