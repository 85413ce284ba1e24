"""Completing the arguments of prompts and of resources' URIs, from what there is to choose from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import anyio
from mcp.types import Completion

from mcp_convex.boundary.hosting import Serving
from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.services import Services

WAIT_S = 3.0
"""Seconds after which a client is told nothing rather than kept waiting: a person is typing."""
_MOST = 100
"""Values that one answer may hold."""


@dataclass(frozen=True, slots=True)
class _Choice:
    among: Callable[[Services], Awaitable[Iterable[str]]]
    toolset: str | None = None
    """Only callers who may use this toolset get the values; None for everybody."""


async def _topics(services: Services) -> Iterable[str]:
    return services.docs.topics()


async def _templates(_: Services) -> Iterable[str]:
    from mcp_convex.services.templates import NAMES  # noqa: PLC0415 - a start of the server needs none of it

    return NAMES


async def _providers(_: Services) -> Iterable[str]:
    return "convex_auth", "clerk"


async def _tables(services: Services) -> Iterable[str]:
    return (table.name for table in (await services.data.list_tables()).tables)


async def _paths(services: Services) -> Iterable[str]:
    return (file.path for file in await services.files.list())


async def _pushes(services: Services) -> Iterable[str]:
    return await services.pushes.failed()


_CHOICES: Mapping[str, _Choice] = MappingProxyType(
    {
        "topic": _Choice(_topics),
        "template": _Choice(_templates),
        "provider": _Choice(_providers),
        "related_table": _Choice(_tables, toolset="inspect"),
        "path": _Choice(_paths, toolset="files"),
        "push_id": _Choice(_pushes, toolset="push"),
    }
)


async def complete(argument: str, typed: str, serving: Serving) -> Completion:
    """Return what may become of *typed* as a value of *argument*: what begins with it first, then what holds it."""
    choice = _CHOICES.get(argument)
    if choice is None or not serving.shows(choice.toolset):
        return Completion(values=[])
    found: list[str] = []
    with anyio.move_on_after(WAIT_S):
        found = await _found(choice, typed.casefold(), serving)
    return Completion(values=found[:_MOST], total=len(found), has_more=len(found) > _MOST)


async def _found(choice: _Choice, typed: str, serving: Serving) -> list[str]:
    try:
        values = await choice.among(await serving.services.get())
    except ConvexMcpError:
        return []
    places = {value: place for value in values if (place := value.casefold().find(typed)) >= 0}
    return sorted(places, key=lambda value: (places[value] > 0, value))
