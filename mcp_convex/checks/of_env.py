"""What is wrong with the env vars that code reads, where it is known which are set."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_convex.checks.facts import Finding
from mcp_convex.checks.project import Folder, Module

_BUILT_IN = frozenset({"CONVEX_CLOUD_URL", "CONVEX_SITE_URL", "NODE_ENV"})


def check_env(folder: Folder) -> Iterator[tuple[Module, Finding]]:
    """Yield the reads of env vars that are not set; nothing where that is not known."""
    if folder.env_vars is None:
        return
    for module in folder.pushed:
        in_auth = module.name == "auth.config"
        if not in_auth and not module.is_entry:
            continue
        for use in module.facts.env_uses:
            if use.name in folder.env_vars or use.name in _BUILT_IN:
                continue
            if in_auth:
                yield module, Finding("env_in_auth", use.at, {"name": use.name})
            elif use.required:
                yield module, Finding("env_unset", use.at, {"name": use.name})
