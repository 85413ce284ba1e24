"""Whether what the compiler infers of a function goes in a circle: it then complains of that, and checks no names."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache

from mcp_convex.checks.facts import Facts, Function

_SAYS_TYPE = re.compile(r"\([^()]*\)\s*:\s*(?:Promise|any)\b")
_RETURNED = re.compile(r"\breturn\b([^;]*)")


def is_circular(facts: Facts, function: Function) -> bool:
    """Say whether what *function* returns is inferred from `api` or `internal`, which are made of all functions."""
    if not facts.api_names or function.kind == "http":
        return False
    body = facts.text[function.at : function.end]
    if _SAYS_TYPE.search(body):
        return False
    answered, kept = _calls(facts.api_names)
    if answered.search(body):
        return True
    names = {found[1] for found in kept.finditer(body)}
    return bool(names) and _mentions(names, _RETURNED.findall(body))


def _mentions(names: Collection[str], texts: Collection[str]) -> bool:
    named = re.compile(rf"(?<!\.)\b(?:{'|'.join(names)})\b(?!\s*:)")
    return any(named.search(text) for text in texts)


@cache
def _calls(roots: frozenset[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return what finds calls whose results are returned at once, and those kept under a name without a type."""
    call = rf"(?:await\s+)?\w+\.run(?:Query|Mutation|Action)\(\s*(?:{'|'.join(map(re.escape, roots))})\."
    return re.compile(rf"(?:\breturn|=>)\s+\(?{call}"), re.compile(rf"\b(?:const|let)\s+(\w+)\s*=\s*\(?{call}")
