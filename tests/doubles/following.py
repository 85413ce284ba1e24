"""A client that hears which resources have changed, in either protocol era."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import ResourceUpdatedNotification

from tests.world import World

DEV_SERVER = "convex://dev-server"
PUSHES = "convex://pushes"
Connect = Callable[[Callable[[Any], Awaitable[None]]], Client]
"""Makes a client that gives what it is told to a listener."""


@dataclass
class Follower:
    world: World
    heard: MemoryObjectReceiveStream[str]
    last: str | None = None
    """The last push that was waited for."""

    async def start(self) -> dict[str, Any]:
        """Turn the dev server on, and return its status, in which the first push is over."""
        status = await self.world.content("dev_server", action="start")
        self.last = status["last_push"]["id"]
        return status

    async def status(self) -> dict[str, Any]:
        return await self.world.content("dev_server", action="status")

    async def until(self, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Return the dev server's status once it *holds*, looking at it only when told that it has changed."""
        with anyio.fail_after(90):
            while not holds(status := await self.status()):
                while DEV_SERVER != await self.heard.receive():
                    pass
        return status

    async def until_pushed(self, outcome: str = "pushed") -> dict[str, Any]:
        """Return the status once the next push is over."""
        status = await self.until(lambda now: now["last_push"]["id"] != self.last and now["state"] != "pushing")
        self.last = status["last_push"]["id"]
        assert outcome == status["last_push"]["outcome"], status
        return status

    async def pushes(self) -> list[str]:
        """Return the ids of the latest pushes, newest first."""
        (content,) = (await self.world.client.read_resource(PUSHES)).contents
        return [line.split('"')[3] for line in content.text.splitlines() if '"id": ' in line]


@asynccontextmanager
async def following(connect: Connect, settings: Any, era: str = "auto") -> AsyncIterator[Follower]:
    """Connect a client that follows the dev server and the pushes, for the block."""
    tell, heard = anyio.create_memory_object_stream[str](1000)

    async def listen(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            tell.send_nowait(str(message.params.uri))

    async with connect(listen) as client, anyio.create_task_group() as tasks, tell, heard:
        if era == "legacy":
            for uri in (DEV_SERVER, PUSHES):
                with pytest.warns(MCPDeprecationWarning):
                    await client.subscribe_resource(uri)
            yield Follower(World(client=client, settings=settings, era=era), heard)
            return
        async with client.listen(resource_subscriptions=[DEV_SERVER, PUSHES]) as events:

            async def pass_on() -> None:
                async for event in events:
                    tell.send_nowait(event.uri)

            tasks.start_soon(pass_on)
            yield Follower(World(client=client, settings=settings, era=era), heard)
            tasks.cancel_scope.cancel()
