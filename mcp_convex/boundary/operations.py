"""Declaring an operation of the HTTP API, which does for other clients what a tool does for those of MCP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from mcp_convex.boundary.hosting import Serving
from mcp_convex.domain.models import Model
from mcp_convex.services import Services

Method = Literal["GET", "POST"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of an operation, by somebody who may make it."""

    services: Services
    serving: Serving
    client: str
    """What the token's client is called; empty where nobody says."""
    vouches: bool
    """Whether the operator trusts that client to say whose browser it sends to a page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation that `HttpApi` will offer."""

    fn: Callable[[Call, Any], Awaitable[Model]]
    method: Method
    path: str
    tool: str
    """The tool that it stands for: callers who may not use the tool may not call the operation."""
    comes_to: str
    """What the audit says of a call that went well."""

    @property
    def name(self) -> str:
        return self.fn.__name__

    @property
    def asked(self) -> type[Model]:
        """What the body of a call says; all of it may be left out."""
        asked: type[Model] = get_type_hints(self.fn)["asked"]
        return asked

    @property
    def answered(self) -> type[Model]:
        answered: type[Model] = get_type_hints(self.fn)["return"]
        return answered


class Nothing(Model):
    """A body that says nothing."""


def operation(
    method: Method, path: str, *, tool: str, comes_to: str = "ok"
) -> Callable[[Callable[[Call, Any], Awaitable[Model]]], Operation]:
    """Declare an async function of the call and of what is `asked` to be an operation. Its docstring describes it."""
    return lambda fn: Operation(fn=fn, method=method, path=path, tool=tool, comes_to=comes_to)
