"""Names of Convex's that a file uses without importing them, as models forget to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mcp_convex.checks.facts import Facts, Finding


class _Name(NamedTuple):
    source: str
    mark: str
    """Stands in each file that uses the name, and in few others."""
    used: re.Pattern[str]


_BUILDERS = ("query", "mutation", "action", "internalQuery", "internalMutation", "internalAction")
_NAMES = {
    "v": _Name(
        "convex/values",
        "v.",
        re.compile(r"v\.(?<=[:( ]v\.)(?:string|number|id|object|array|optional|union|boolean|literal|any)\("),
    ),
    **{
        name: _Name("./_generated/server", f"= {name}({{", re.compile(rf"{name}(?<== {name})\(\{{"))
        for name in _BUILDERS
    },
    **{
        name: _Name("./_generated/api", f"{name}.", re.compile(rf"{name}(?<=[( ]{name})\.\w+\.\w+\s*[,)]"))
        for name in ("api", "internal")
    },
    **{
        name: _Name("convex/server", f"{name}(", re.compile(rf"{name}(?<=[=:] {name})\("))
        for name in ("defineTable", "httpRouter", "cronJobs")
    },
}


def check_names(facts: Facts) -> Iterator[Finding]:
    """Yield the first use of each name that a file does not have."""
    text = facts.text
    for name, (source, mark, used) in _NAMES.items():
        if mark not in text or any(name in found.names for found in facts.imports):
            continue
        found = used.search(text)
        if found is not None and not _is_declared(text, name):
            yield Finding("not_imported", found.start(), {"name": name, "source": source})


def _is_declared(text: str, name: str) -> bool:
    """Say whether *text* may give *name* a meaning of its own: as a variable, a part of one, or a parameter."""
    own = rf"\b(?:const|let|var|function|class|namespace)\s[^;=()]*\b{name}\b|[(,{{]\s*{name}\s*[,)}}:?]|\b{name} =>"
    return re.search(own, text) is not None
