"""Passages of what an agent can read, and finding them by their words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document, short enough to be an answer."""

    uri: str
    title: str
    text: str


class PassageIndex(ABC):
    """An index over passages that do not change."""

    @abstractmethod
    def search(self, query: str, limit: int) -> tuple[Passage, ...]:
        """
        Return passages with words of *query*, the best of each document, up to *limit* of them, the best first.

        Their text is cut around those words.
        """
