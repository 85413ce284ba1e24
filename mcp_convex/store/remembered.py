"""What was read a moment ago, for as long as nothing in the database has changed since."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from mcp_convex.store.database import Database

T = TypeVar("T")

_KEPT = 1024
"""Answers to one question; those that are asked for often stay among them."""


class Remembered(Generic[T]):
    """
    Answers to one question, by what was asked about.

    An agent that waits for a person asks the same again and again. What is kept was read after the database told its
    version, and is good only while it tells the same one, so that no process ever sees less than was committed.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._answers: OrderedDict[Hashable, tuple[Hashable, T]] = OrderedDict()

    async def get(self, about: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return what *read* returns, or has returned since the last commit."""
        version = self._database.version()
        if version is None:
            return await read()
        known = self._answers.get(about)
        if known is None or known[0] != version:
            known = version, await read()
            self._answers[about] = known
            self._answers.move_to_end(about)
            if len(self._answers) > _KEPT:
                self._answers.popitem(last=False)
        return known[1]
