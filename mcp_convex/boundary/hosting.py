"""Whose services a call gets, and how much of the surface: the one question that the two shapes answer differently."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

from starlette.requests import Request

from mcp_convex.boundary.opening import LazyServices, OpenServices
from mcp_convex.domain.ports.meter import Meter, NoMeter

_NO_METER = NoMeter()

Whose = tuple[str, str]
"""A principal, and what they call their workspace."""
THIS_MACHINES: Whose = ("", "")
"""The one workspace of a server in the local shape."""


@dataclass(frozen=True, slots=True)
class Narrowed:
    """What a call may use, where that is less than the server offers."""

    toolsets: frozenset[str]
    tools: frozenset[str]
    """By name: the tools of these toolsets, or only those of them that read."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What one call is served with."""

    services: LazyServices
    narrowed: Narrowed | None = None
    """None for all that the server offers."""
    turn: Callable[[], AbstractAsyncContextManager[None]] = nullcontext
    """Waits until the call may begin, and counts it as under way for the block. Raises `LimitReached`."""
    meter: Meter = _NO_METER
    whose: Whose = THIS_MACHINES

    def offers(self, tool: str) -> bool:
        """Say whether the call may use *tool*."""
        return self.narrowed is None or tool in self.narrowed.tools

    def shows(self, toolset: str | None) -> bool:
        """Say whether the call may read resources that belong to *toolset*."""
        return self.narrowed is None or toolset is None or toolset in self.narrowed.toolsets


SERVING: ContextVar[Serving] = ContextVar("SERVING")
"""What the call under way is served with: the SDK lists tools and resources without a Context."""


class Hosting(ABC):
    """The workspaces that a server is over."""

    @abstractmethod
    def serving(self, request: Request | None) -> AbstractAsyncContextManager[Serving]:
        """Return what the call that came with *request* is served with, kept open for the block; None for stdio."""


class OneWorkspace(Hosting):
    """The local shape: every call is the person's, over the one workspace."""

    def __init__(self, services: LazyServices) -> None:
        self._serving = Serving(services)

    @asynccontextmanager
    async def serving(self, request: Request | None) -> AsyncGenerator[Serving]:
        del request
        yield self._serving


OpenHosting = Callable[[], AbstractAsyncContextManager[Hosting]]


@asynccontextmanager
async def one_workspace(open_services: OpenServices) -> AsyncGenerator[Hosting]:
    """Host the one workspace that *open_services* opens, and close it on the way out."""
    services = LazyServices(open_services)
    try:
        yield OneWorkspace(services)
    finally:
        await services.aclose()
