"""How a long-running service says how far it has come, and what processes say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

from mcp_convex.domain.pushes import Stage

OnOutput = Callable[[str], None]
"""Called with each piece of a process's output, decoded, as it arrives."""

OnStage = Callable[[Stage], Awaitable[None]]


class Progress(ABC):
    """Where a long-running service says how far it has come."""

    @abstractmethod
    async def report(self, done: float, total: float, doing: str) -> None:
        """Say that *done* of *total* steps are over, and what happens now."""


class NoProgress(Progress):
    """For callers that do not care."""

    async def report(self, done: float, total: float, doing: str) -> None:
        pass
