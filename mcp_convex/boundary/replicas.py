"""What clients of one server hear of what was done at another one that shares its store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from mcp.server.subscriptions import InMemorySubscriptionBus, ServerEvent, SubscriptionBus
from pydantic import TypeAdapter, ValidationError
from typing_extensions import override

from mcp_convex.boundary.hosting import SERVING, Whose
from mcp_convex.boundary.subscriptions import OwnResourceUpdated
from mcp_convex.domain.ports.announcing import CONNECTIONS, DEV_SERVER, PUSHES
from mcp_convex.domain.ports.relaying import NoRelay, Relay

_MESSAGE = TypeAdapter(tuple[str, str, str])
"""A principal, their workspace, a URI."""


class RelayedBus(SubscriptionBus):
    """A bus in this process, whose events other servers hear too once it is `joined` to a relay."""

    def __init__(self) -> None:
        self._here = InMemorySubscriptionBus()
        self._relay: Relay = NoRelay()
        self._following: dict[object, Whose] = {}
        self._telling: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def joined(self, relay: Relay) -> AsyncGenerator[None]:
        """Exchange events with others through *relay* for the block."""
        async with relay.listening(self._hear, self._missed):
            self._relay = relay
            try:
                yield
            finally:
                self._relay = NoRelay()

    @override
    async def publish(self, event: ServerEvent) -> None:
        await self._here.publish(event)
        if isinstance(event, OwnResourceUpdated):
            self._relay.send(_MESSAGE.dump_json((*event.whose, event.uri)).decode())

    @override
    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        unsubscribe = self._here.subscribe(listener)
        self._following[unsubscribe] = SERVING.get().whose

        def leave() -> None:
            unsubscribe()
            self._following.pop(unsubscribe, None)

        return leave

    def _hear(self, message: str) -> None:
        try:
            principal, workspace, uri = _MESSAGE.validate_json(message)
        except ValidationError:  # of another version
            return
        self._tell(OwnResourceUpdated(uri, (principal, workspace)))

    def _missed(self) -> None:
        """Have all who follow something read it again."""
        for whose in set(self._following.values()):
            for uri in (PUSHES, DEV_SERVER, CONNECTIONS):
                self._tell(OwnResourceUpdated(uri, whose))

    def _tell(self, event: OwnResourceUpdated) -> None:
        telling = asyncio.create_task(self._here.publish(event))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)
