"""What a parser yields, in the one form that all of them share, and the bounds on it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from mcp_convex.domain.diagnostics.hints import hint_for
from mcp_convex.domain.pushes import Diagnostic, FailureClass, Severity, Source

MOST_DIAGNOSTICS = 50
LONGEST_MESSAGE = 2_000
LONGEST_SNIPPET = 300
_LONGEST_CODE = 100
_LARGEST_NUMBER = 10_000_000
"""A line or column beyond this was not printed by a compiler."""

_RANK: dict[Severity, int] = {"error": 0, "warning": 1, "note": 2}
_KNOWN_FOLDER = re.compile(r"(?:^|/)((?:convex|node_modules)/)")


class Place(NamedTuple):
    """Where in the sources. `line` and `column` are 1-based."""

    file: str | None = None
    line: int | None = None
    column: int | None = None
    snippet: str | None = None


class Finding(NamedTuple):
    """A diagnostic, and the class of failure that it alone would mean; none for a warning."""

    failure: FailureClass | None
    diagnostic: Diagnostic

    @classmethod
    def of(
        cls,
        failure: FailureClass | None,
        source: Source,
        code: str,
        message: str,
        place: Place = Place(),  # noqa: B008  # immutable
    ) -> Finding:
        """Return the finding with its texts bounded and its path made relative."""
        return cls(
            failure,
            Diagnostic(
                file=relative_path(place.file),
                line=_counted(place.line),
                column=_counted(place.column),
                severity="error" if failure else "warning",
                code=_cut(code, _LONGEST_CODE),
                message=_cut(message.strip(), LONGEST_MESSAGE) or code,
                snippet=_excerpt(place.snippet, place.column),
                source=source,
            ),
        )


def relative_path(path: str | None) -> str | None:
    """Return *path* from the workspace's root with `/`, or None where it names nothing in the workspace."""
    if not path:
        return None
    path = re.sub(r"^(?:file://|(?:\.{1,2}/)+)", "", path.strip().replace("\\", "/"))
    if not re.match(r"/|[A-Za-z]:/", path):
        return path[:LONGEST_SNIPPET] or None
    folder = _KNOWN_FOLDER.search(path)
    return path[folder.start(1) :][:LONGEST_SNIPPET] if folder else None


def bounded(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """
    Return *diagnostics* with their hints, errors first, none twice.

    There are at most `MOST_DIAGNOSTICS` of them: the last is then a note that counts the rest.
    """
    ordered = sorted(dict.fromkeys(diagnostics), key=lambda diagnostic: _RANK[diagnostic.severity])
    if len(ordered) <= MOST_DIAGNOSTICS:
        return tuple(map(_hinted, ordered))
    shown = ordered[: MOST_DIAGNOSTICS - 1]
    note = Diagnostic(
        severity="note",
        code="more",
        message=f"{len(ordered) - len(shown)} more were left out.",
        hint="Mend the first ones: they often cause the rest.",
        source=shown[-1].source,
    )
    return (*map(_hinted, shown), note)


def _hinted(diagnostic: Diagnostic) -> Diagnostic:
    hint = hint_for(diagnostic.code, diagnostic.message, file=diagnostic.file, snippet=diagnostic.snippet)
    return diagnostic.model_copy(update={"hint": hint})


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _excerpt(line: str | None, column: int | None) -> str | None:
    """Return one line, cut around *column* where it is too long."""
    line = (line or "").replace("\n", " ").strip()
    if len(line) > LONGEST_SNIPPET and column and column > LONGEST_SNIPPET // 2:
        line = "…" + line[column - LONGEST_SNIPPET // 2 :]
    return _cut(line, LONGEST_SNIPPET) or None


def _counted(number: int | None) -> int | None:
    return number if number is not None and 0 < number < _LARGEST_NUMBER else None
