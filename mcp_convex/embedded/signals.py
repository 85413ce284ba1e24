"""Waking whoever waits for a change."""

from __future__ import annotations

import anyio


class Signal:
    """Something that happens again and again; each waiter is woken by the next time."""

    def __init__(self) -> None:
        self._next = anyio.Event()

    def notify(self) -> None:
        """Wake everyone who waits."""
        self._next.set()
        self._next = anyio.Event()

    async def wait(self) -> None:
        """Return when `notify` is called next."""
        await self._next.wait()
