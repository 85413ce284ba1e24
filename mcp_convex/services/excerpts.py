"""Making what the app answers fit into an agent's context: what is cut is marked, and never cut silently."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, JsonValue

from mcp_convex.domain.errors import InvalidArguments

T = TypeVar("T")

BUDGET = 16_000
"""Characters of JSON in one answer."""


class _Bounds(NamedTuple):
    text: int
    items: int


_STEPS = (_Bounds(2_000, 100), _Bounds(400, 30), _Bounds(100, 10), _Bounds(40, 3))
"""Tried one after the other until the value fits."""


def excerpt(value: JsonValue, budget: int = BUDGET) -> JsonValue:
    """Return *value* as it is if its JSON has at most *budget* characters, else with its long parts cut and marked."""
    if size(value) <= budget:
        return value
    for bounds in _STEPS:
        if size(shorter := _within(value, bounds)) <= budget:
            return shorter
    return f"… [{size(value):,} characters of JSON left out]"


def excerpt_text(text: str, longest: int) -> str:
    """Return *text*, or its beginning with a mark that says how much is missing."""
    return text if len(text) <= longest else f"{text[:longest]}… [{len(text) - longest:,} more characters]"


def excerpt_lines(lines: Sequence[str], *, most: int, longest: int) -> tuple[str, ...]:
    """Return the last *most* lines, each of at most *longest* characters, under a mark where there were more."""
    kept = tuple(excerpt_text(line, longest) for line in lines[-most:])
    return kept if len(lines) <= most else (f"… [{len(lines) - most:,} earlier lines]", *kept)


def check_limit(limit: int, most: int) -> None:
    """
    Make sure that one answer may hold *limit* items.

    Raises:
        InvalidArguments: It is not between 1 and *most*.
    """
    if not 1 <= limit <= most:
        raise InvalidArguments(
            f"`limit` is not between 1 and {most}.", next_step="Call again with a `limit` in that range."
        )


def fitting(values: Iterable[T], size_of: Callable[[T], int], budget: int = BUDGET) -> int:
    """Return how many of the first *values* fit into *budget* together; at least one where there is one."""
    used, count = 0, 0
    for value in values:
        used += size_of(value)
        if used > budget and count:
            break
        count += 1
    return count


def size(value: JsonValue) -> int:
    """Return how many characters the JSON of *value* has."""
    return len(json.dumps(value, ensure_ascii=False))


def size_of_model(model: BaseModel) -> int:
    """Return how many characters the JSON of *model* has."""
    return len(model.model_dump_json())


def _within(value: JsonValue, bounds: _Bounds) -> JsonValue:
    match value:
        case str():
            return excerpt_text(value, bounds.text)
        case list():
            kept = [_within(item, bounds) for item in value[: bounds.items]]
            more = len(value) - len(kept)
            return [*kept, f"… [{more:,} more items]"] if more else kept
        case dict():
            names = list(value)[: bounds.items]
            cut = {name: _within(value[name], bounds) for name in names}
            more = len(value) - len(cut)
            return {**cut, "…": f"[{more:,} more fields]"} if more else cut
        case _:
            return value
