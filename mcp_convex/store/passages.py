"""Full-text search over passages, in memory: SQLite's FTS5."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator

from mcp_convex.domain.ports.passages import Passage, PassageIndex

_WORD = re.compile(r"\w+")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_SHORTEST_STEM = 4
"""Letters from which on a word also finds longer ones: `paginat` finds `paginate`, `in` does not find `index`."""
_SHOWN_WORDS = 48
_COLUMNS = "uri UNINDEXED, title, text, parts, tokenize = 'porter unicode61'"
_RANKED = "bm25(passages, 0, 8, 2, 1)"
_EXCERPT = f"snippet(passages, 2, '', '', ' … ', {_SHOWN_WORDS})"


class FtsPassageIndex(PassageIndex):
    def __init__(self, passages: Iterable[Passage]) -> None:
        self._database = sqlite3.connect(":memory:")
        self._database.execute(f"CREATE VIRTUAL TABLE passages USING fts5({_COLUMNS})")
        rows = ((each.uri, each.title, each.text, " ".join(_parts(each.text))) for each in passages)
        self._database.executemany("INSERT INTO passages VALUES (?, ?, ?, ?)", rows)

    def search(self, query: str, limit: int) -> tuple[Passage, ...]:
        words = {word.lower() for word in (*_WORD.findall(query), *_parts(query))}
        if not words:
            return ()
        wanted = " OR ".join(f'"{word}"*' if len(word) >= _SHORTEST_STEM else f'"{word}"' for word in sorted(words))
        found = self._database.execute(
            f"SELECT uri, title, {_EXCERPT} FROM passages WHERE passages MATCH ? ORDER BY {_RANKED}",  # noqa: S608 - constants
            (wanted,),
        )
        best: dict[str, Passage] = {}
        for row in found:
            passage = Passage(*row)
            best.setdefault(passage.uri, passage)
            if len(best) == limit:
                break
        return tuple(best.values())


def _parts(text: str) -> Iterator[str]:
    """Yield the words within names that are written together: `with` and `Index` for `withIndex`."""
    for word in _WORD.findall(text):
        if len(parts := _PART.findall(word)) > 1:
            yield from parts
