"""How a call asks for less than its server offers: by the URL that it comes to, and by the scopes of its token."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from starlette.datastructures import QueryParams

from mcp_convex.domain.errors import InvalidArguments

SCOPE = "convex"
"""The scope that admits a token at all, and, with a colon behind it, the beginning of those that narrow it."""
READ_SCOPE = f"{SCOPE}:read"
DEFAULT_WORKSPACE = "default"

WORKSPACE = r"[a-z0-9][a-z0-9-]{0,23}"
"""What a principal may call a workspace."""
_SWITCH: Mapping[str, bool] = MappingProxyType({"true": True, "1": True, "false": False, "0": False})
PARAMETERS = ("workspace", "read_only", "toolsets")


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a call may use, of what the server offers."""

    workspace: str = DEFAULT_WORKSPACE
    read_only: bool = False
    toolsets: frozenset[str] | None = None
    """None for all."""

    def by_scopes(self, scopes: Iterable[str]) -> Narrowing:
        """Return this, narrowed by *scopes* too: where they name toolsets, to those."""
        named = {scope for scope in scopes if scope.startswith(f"{SCOPE}:")}
        toolsets = self.toolsets
        if granted := frozenset(scope.partition(":")[2] for scope in named - {READ_SCOPE}):
            toolsets = granted if toolsets is None else granted & toolsets
        return Narrowing(self.workspace, self.read_only or READ_SCOPE in named, toolsets)


def by_query(query: QueryParams, known: Collection[str]) -> Narrowing:
    """
    Return what the URL's *query* narrows the call to; *known* are the names of toolsets.

    Raises:
        InvalidArguments: A parameter is unknown, comes twice, or is not as it should be.
    """
    names = [name for name, _ in query.multi_items()]
    for name in names:
        if name not in PARAMETERS or names.count(name) > 1:
            raise _refused(f"The URL's parameters are {', '.join(f'`{one}`' for one in PARAMETERS)}, each once.")
    workspace = workspace_name(query.get("workspace", DEFAULT_WORKSPACE))
    if (read_only := query.get("read_only", "false")) not in _SWITCH:
        raise _refused("`read_only` is `true` or `false`.")
    toolsets = None if "toolsets" not in query else frozenset(query["toolsets"].split(","))
    if toolsets is not None and not toolsets <= set(known):
        raise _refused(f"`toolsets` names some of {', '.join(f'`{one}`' for one in known)}, with commas between them.")
    return Narrowing(workspace, _SWITCH[read_only], toolsets)


def workspace_name(given: str) -> str:
    """
    Return *given*, what a principal may call a workspace.

    Raises:
        InvalidArguments: They may not.
    """
    if not re.fullmatch(WORKSPACE, given):
        raise _refused("`workspace` is a name of up to 24 lower-case letters, digits and hyphens.")
    return given


def _refused(message: str) -> InvalidArguments:
    return InvalidArguments(message, next_step="Correct the URL that this server was added with.")
