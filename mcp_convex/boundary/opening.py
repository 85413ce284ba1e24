"""Opening the services at the first need, so that a server that is only listed or probed opens nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from mcp_convex.services import Services

OpenServices = Callable[[], AbstractAsyncContextManager[Services]]


class LazyServices:
    """
    Services that open when `get` is first awaited and stay open until `aclose`.

    One task opens and closes them: what they hold must be left in the task that entered it.
    """

    def __init__(self, open_services: OpenServices) -> None:
        self._open = open_services
        self._closing = asyncio.Event()
        self._holder: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[Services] | None = None

    async def get(self) -> Services:
        """
        Return the services, opened if they were not.

        Raises:
            ConvexMcpError: They cannot be opened. The next call tries again.
        """
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._holder = asyncio.create_task(self._hold(self._opened))
        return await asyncio.shield(self._opened)  # a caller that gives up does not stop the opening for the others

    @property
    def opened(self) -> Services | None:
        """The services, if they are open."""
        is_open = self._opened is not None and self._opened.done() and not self._opened.exception()
        return self._opened.result() if self._opened is not None and is_open else None

    async def aclose(self) -> None:
        """Close what was opened, and return when it is."""
        self._closing.set()
        if self._holder is not None:
            await self._holder

    async def _hold(self, opened: asyncio.Future[Services]) -> None:
        try:
            async with self._open() as services:
                opened.set_result(services)
                await self._closing.wait()
        except Exception as exc:  # of any kind: callers of `get` wait for it, and would wait for ever
            if opened.done():
                raise
            self._opened = None
            opened.set_exception(exc)
            opened.exception()  # nobody may be left to hear it
