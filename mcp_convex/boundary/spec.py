"""What a tool or resource module needs of MCP: declaring itself, and reaching the services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mcp.server.mcpserver import Context
from mcp.types import ToolAnnotations
from pydantic import BaseModel

from mcp_convex.boundary.hosting import SERVING, Hosting
from mcp_convex.services import Services

Ctx = Context[Hosting, Any]

PANEL = "ui://convex/panel"
"""A page that chats with MCP Apps show with the answers of some tools."""


class Effect(Enum):
    """What a tool does to the world. Every hint is spelled out: a client takes an absent one for the worst."""

    READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
    WRITES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)
    PUSHES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=True)
    KEEPS_LIVE = ToolAnnotations(
        read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=True
    )
    RUNS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=True)
    ASKS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True)
    DELETES = PUSHES


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that `ConvexServer` will offer."""

    fn: Callable[..., Awaitable[BaseModel]]
    title: str
    effect: Effect
    shows_panel: bool = False
    """Whether chats with MCP Apps show the panel with the answer."""

    @property
    def name(self) -> str:
        return self.fn.__name__


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    """A resource that `ConvexServer` will offer: a template where its URI has `{parameters}`."""

    fn: Callable[..., Awaitable[str | BaseModel]]
    uri: str
    title: str
    mime_type: str
    toolset: str | None
    """Callers who may not use this toolset may not read the resource; None lets everybody read it."""


def tool(
    title: str, effect: Effect, *, shows_panel: bool = False
) -> Callable[[Callable[..., Awaitable[BaseModel]]], ToolSpec]:
    """Declare an async function to be a tool. Its name, docstring and types become the tool's."""
    return lambda fn: ToolSpec(fn=fn, title=title, effect=effect, shows_panel=shows_panel)


def resource(
    uri: str, title: str, *, toolset: str | None = None, mime_type: str = "application/json"
) -> Callable[[Callable[..., Awaitable[str | BaseModel]]], ResourceSpec]:
    """Declare an async function of the services (and the URI's parameters) to be a resource."""
    return lambda fn: ResourceSpec(fn=fn, uri=uri, title=title, mime_type=mime_type, toolset=toolset)


async def services(ctx: Ctx) -> Services:
    """
    Return the services that the call is served with.

    Raises:
        ConvexMcpError: They cannot be opened.
    """
    del ctx
    return await SERVING.get().services.get()
