"""What is wrong with the providers of an auth config."""

from __future__ import annotations

from collections.abc import Iterator

from ast_grep_py import Rule

from mcp_convex.checks.facts import Finding
from mcp_convex.checks.project import Folder, Module
from mcp_convex.checks.syntax import parsed, properties, start

_PROVIDER: Rule = {
    "kind": "object",
    "inside": {"kind": "array", "inside": {"kind": "pair", "regex": r"^[\"']?providers[\"']?\s*:"}},
}
_NEEDED = ("domain", "applicationID")


def check_auth(folder: Folder, module: Module) -> Iterator[Finding]:
    """Yield the providers in *module* that lack what each has to have."""
    del folder  # its own file says it all
    if module.name != "auth.config":
        return
    for provider in parsed(module.facts.text, module.suffix).find_all(**_PROVIDER):
        names = {name for name, _ in properties(provider)}
        if "type" in names or any(name.startswith("...") for name in names):
            continue
        if missing := next((name for name in _NEEDED if name not in names), None):
            yield Finding("auth_provider", start(provider), {"missing": f"`{missing}`"})
