"""What is wrong with the env vars that code reads, where it is known which are set."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_convex.checks.facts import Finding
from mcp_convex.checks.project import Folder, Module

_BUILT_IN = frozenset({"CONVEX_CLOUD_URL", "CONVEX_SITE_URL", "NODE_ENV"})


def check_env(folder: Folder, module: Module) -> Iterator[Finding]:
    """Yield the reads of env vars in *module* that are not set; nothing where that is not known."""
    in_auth = module.name == "auth.config"
    if folder.env_vars is None or not (in_auth or module.is_entry):
        return
    for use in module.facts.env_uses:
        if use.name in folder.env_vars or use.name in _BUILT_IN:
            continue
        if in_auth:
            yield Finding("env_in_auth", use.at, {"name": use.name})
        elif use.required:
            yield Finding("env_unset", use.at, {"name": use.name})
