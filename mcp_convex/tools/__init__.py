"""What the agent sees: one module a noun, one function a tool, nothing decided here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from mcp_convex.boundary import Effect, ToolSpec
from mcp_convex.tools import connection, docs, env, files, inspect, projects, push

TOOLSETS: Mapping[str, tuple[ToolSpec, ...]] = MappingProxyType(
    {
        "connection": connection.TOOLS,
        "projects": projects.TOOLS,
        "env": env.TOOLS,
        "files": files.TOOLS,
        "push": push.TOOLS,
        "inspect": inspect.TOOLS,
        "docs": docs.TOOLS,
    }
)


def offered(toolsets: Iterable[str], *, read_only: bool) -> tuple[ToolSpec, ...]:
    """Return the tools of *toolsets*; with *read_only* only those that cannot change anything."""
    chosen = [spec for name in toolsets for spec in TOOLSETS[name]]
    return tuple(spec for spec in chosen if not read_only or spec.effect is Effect.READS)
