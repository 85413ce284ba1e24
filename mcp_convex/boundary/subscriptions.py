"""Who hears that a resource has changed: the clients of the workspace that it belongs to, in both protocol eras."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcp.server.connection import Connection
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import ResourceUpdated, ServerEvent, SubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams
from typing_extensions import override

from mcp_convex.boundary.hosting import SERVING, Hosting, Whose
from mcp_convex.domain.ports import Announcements
from mcp_convex.domain.ports.announcing import CONNECTIONS

MOST_FOLLOWED = 100
_FOLLOWED = "mcp_convex.followed"
_ALL_WORKSPACES = ""


@dataclass(frozen=True)
class OwnResourceUpdated(ResourceUpdated):
    """A change of what is at a URI in one workspace: in another, the same URI is another resource."""

    whose: Whose


class Announcing(Announcements):
    """Publishes to those who follow the workspace *whose*."""

    def __init__(self, bus: SubscriptionBus, whose: Whose) -> None:
        self._bus = bus
        self._whose = whose

    @override
    async def updated(self, *uris: str) -> None:
        principal, _ = self._whose
        for uri in uris:
            whose = (principal, _ALL_WORKSPACES) if uri == CONNECTIONS else self._whose
            await self._bus.publish(OwnResourceUpdated(uri, whose))


class OwnEvents(SubscriptionBus):
    """A bus on which a subscription made in a call hears only of the workspace that the call is for."""

    def __init__(self, bus: SubscriptionBus) -> None:
        self._bus = bus

    @override
    async def publish(self, event: ServerEvent) -> None:
        await self._bus.publish(event)

    @override
    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        whose = SERVING.get().whose
        own_whose = {whose, (whose[0], _ALL_WORKSPACES)}

        def own(event: ServerEvent) -> None:
            if not isinstance(event, OwnResourceUpdated) or event.whose in own_whose:
                listener(event)

        return self._bus.subscribe(own)


class LegacySubscriptions:
    """`resources/subscribe` of the era before 2026-07-28, which the SDK leaves to the server."""

    def __init__(self, bus: SubscriptionBus) -> None:
        self._bus = bus
        self._telling: set[asyncio.Task[None]] = set()

    def serve_on(self, server: Server[Hosting]) -> None:
        """Answer these requests of *server*."""
        server.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)

    async def _subscribe(self, ctx: ServerRequestContext[Hosting, Any], params: SubscribeRequestParams) -> EmptyResult:
        connection, uri = _connection(ctx), str(params.uri)
        followed = _followed(connection)
        if uri in followed:
            return EmptyResult()
        if len(followed) >= MOST_FOLLOWED:
            raise MCPError(INVALID_PARAMS, f"A client follows at most {MOST_FOLLOWED} resources.")

        def hear(event: ServerEvent) -> None:
            if isinstance(event, ResourceUpdated) and event.uri == uri:
                telling = asyncio.create_task(connection.send_resource_updated(uri))
                self._telling.add(telling)
                telling.add_done_callback(self._telling.discard)

        followed[uri] = self._bus.subscribe(hear)
        connection.exit_stack.callback(followed[uri])
        return EmptyResult()

    async def _unsubscribe(
        self, ctx: ServerRequestContext[Hosting, Any], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        if (unsubscribe := _followed(_connection(ctx)).pop(str(params.uri), None)) is not None:
            unsubscribe()
        return EmptyResult()


def _connection(ctx: ServerRequestContext[Hosting, Any]) -> Connection:
    # The end of the connection is when its subscriptions have to go. In SDK 2.3 a request reaches its connection only
    # through this private name: the `connection` of its `Context` is documented as not made yet.
    return ctx.session._connection  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


def _followed(connection: Connection) -> dict[str, Callable[[], None]]:
    """Return how to end what the client follows, by URI."""
    followed: dict[str, Callable[[], None]] = connection.state.setdefault(_FOLLOWED, {})
    return followed
