"""Short messages from one server to the others that share its store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager


class Relay(ABC):
    """Carries messages of up to 7,000 bytes. A message may be lost while the store is away; that is said afterwards."""

    @abstractmethod
    def send(self, message: str) -> None:
        """Have the others hear *message*, soon. Never waits, never raises."""

    @abstractmethod
    def listening(self, hear: Callable[[str], None], missed: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """For the block, tell *hear* each message of another server, and *missed* when some may have been lost."""


class NoRelay(Relay):
    """Where there are no others."""

    def send(self, message: str) -> None:
        pass

    @asynccontextmanager
    async def listening(self, hear: Callable[[str], None], missed: Callable[[], None]) -> AsyncGenerator[None]:
        del hear, missed
        yield
