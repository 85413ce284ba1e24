"""What is wrong with the env vars that code reads, and what it takes where it is not known which are set."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_convex.checks.facts import EnvUse, Finding
from mcp_convex.checks.project import Folder, Module

_BUILT_IN = frozenset({"CONVEX_CLOUD_URL", "CONVEX_SITE_URL", "NODE_ENV"})


def check_env(folder: Folder, module: Module) -> Iterator[Finding]:
    """Yield the first read of each env var in *module* that is not set, or not known to be."""
    in_auth = module.name == "auth.config"
    if not (in_auth or module.is_entry):
        return
    first = {use.name: use for use in reversed(module.facts.env_uses) if in_auth or not use.has_fallback}
    for use in first.values():
        if use.name in _BUILT_IN or use.name in (folder.env_vars or ()):
            continue
        yield _missed(use, in_auth=in_auth) if folder.env_vars is not None else _needed(use, in_auth=in_auth)


def _missed(use: EnvUse, *, in_auth: bool) -> Finding:
    if in_auth:
        return Finding("env_in_auth", use.at, {"name": use.name})
    return Finding("env_unset", use.at, {"name": use.name}, doubtful=not use.required)


def _needed(use: EnvUse, *, in_auth: bool) -> Finding:
    otherwise = "the push is refused" if in_auth else "the function has no value for it"
    return Finding("env_needed", use.at, {"name": use.name, "otherwise": otherwise})
