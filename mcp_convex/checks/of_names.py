"""What every file of functions needs and models forget to import."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mcp_convex.checks.facts import Facts, Finding

_SERVER, _API, _VALUES, _CONVEX = "./_generated/server", "./_generated/api", "convex/values", "convex/server"
_USES: tuple[tuple[re.Pattern[str], Mapping[str, str]], ...] = (
    (
        re.compile(r"[:(]\s*(v)\.(?:string|number|id|object|array|optional|union|boolean|literal|any)\("),
        {"v": _VALUES},
    ),
    (
        re.compile(
            r"^export const \w+ = (query|mutation|action|internalQuery|internalMutation|internalAction)\(\{",
            re.MULTILINE,
        ),
        dict.fromkeys(("query", "mutation", "action", "internalQuery", "internalMutation", "internalAction"), _SERVER),
    ),
    (re.compile(r"[(,]\s*(api|internal)\.\w+\.\w+\s*[,)]"), {"api": _API, "internal": _API}),
    (
        re.compile(r"[=:] (defineTable|httpRouter|cronJobs)\("),
        dict.fromkeys(("defineTable", "httpRouter", "cronJobs"), _CONVEX),
    ),
)


def check_names(facts: Facts) -> Iterator[Finding]:
    """Yield the first use of each name of Convex's that a file does not have."""
    imported = {name for found in facts.imports for name in found.names}
    for pattern, sources in _USES:
        for found in pattern.finditer(facts.text):
            name = found[1]
            if name not in imported and not _is_declared(facts.text, name):
                imported.add(name)
                yield Finding("not_imported", found.start(1), {"name": name, "source": sources[name]})


def _is_declared(text: str, name: str) -> bool:
    """Say whether *text* may give *name* a meaning of its own: as a variable, a part of one, or a parameter."""
    own = rf"\b(?:const|let|var|function|class)\s[^;=()]*\b{name}\b|[(,{{]\s*{name}\s*[,)}}:]|\b{name} =>"
    return re.search(own, text) is not None
