"""What the bundler prints: `✘ [ERROR]` and `▲ [WARNING]` blocks with a place, a line of source, and notes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_convex.domain.diagnostics.findings import Finding, Place

HEAD = re.compile(r"^[✘▲X] \[(?P<kind>ERROR|WARNING)\] (?P<text>.*?)(?: \[(?P<id>[\w.-]+)\])?$", re.MULTILINE)
_PLACE = re.compile(r"^ {4}(?P<file>\S.*):(?P<line>\d{1,8}):(?P<column>\d{1,8}):$")
_SOURCE = re.compile(r"^ *(?P<line>\d+) │ (?P<source>.*)$")
_NOTE = re.compile(r"^ {2}(?P<text>\S.*)$")
_SUMMARY = re.compile(
    r"^(?P<file>[^\s:][^:\n]*):(?P<line>\d{1,8}):(?P<column>\d{1,8}): ERROR: (?P<text>.+)$", re.MULTILINE
)
_NO_HELP = ("You can mark the path", "The package ")
"""Notes on esbuild's own options, which the Convex CLI does not let anybody set."""

_CODES = (
    (r"Could not resolve .*(?s:.)*are you trying to bundle for node", "node_builtin"),
    (r"Could not resolve ", "unresolved_import"),
    (r"No matching export in ", "missing_export"),
    (r"Multiple exports with the same name ", "duplicate_export"),
    (r"The symbol .* has already been declared", "duplicate_declaration"),
    (r"No loader is configured for ", "missing_loader"),
    (r"Cannot assign to ", "assignment_to_constant"),
    (r'"await" can only be used inside', "await_outside_async"),
    (r"Top-level await is (?:currently )?not", "top_level_await"),
    (r".* in JSON\b", "invalid_json"),
)


def parse(block: str) -> Iterator[Finding]:
    """Yield what one block says, its first line being a `HEAD`."""
    head = HEAD.match(block)
    if not head:
        return
    place, notes = _details(block[head.end() :].splitlines())
    known = "\n".join(note for note in notes if not note.startswith(_NO_HELP))
    message = f"{head['text']}\n{known}".strip()
    if head["kind"] == "WARNING":
        yield Finding.of(None, "esbuild", head["id"] or "bundler_warning", message, place)
    else:
        yield Finding.of("source", "esbuild", _code("\n".join([head["text"], *notes])), message, place)


def parse_summary(block: str) -> Iterator[Finding]:
    """Yield what `esbuild failed: Error: Build failed with 2 errors:` lists below itself."""
    for found in _SUMMARY.finditer(block):
        place = Place(found["file"], int(found["line"]), int(found["column"]) + 1)
        yield Finding.of("source", "esbuild", _code(found["text"]), found["text"], place)


def _code(text: str) -> str:
    return next((code for pattern, code in _CODES if re.match(pattern, text, re.IGNORECASE)), "syntax_error")


def _details(lines: list[str]) -> tuple[Place, list[str]]:
    """Return where the block points first, and its notes, each with the place that it points at."""
    place, notes = Place(), list[str]()
    for line in lines:
        if found := _PLACE.match(line):
            # esbuild counts columns from 0.
            at = Place(found["file"], int(found["line"]), int(found["column"]) + 1)
            if notes:
                notes[-1] += f" {at.file}:{at.line}:{at.column}"
            elif not place.file:
                place = at
        elif found := _SOURCE.match(line):
            place = place if place.snippet or notes else place._replace(snippet=found["source"])
        elif found := _NOTE.match(line):
            notes.append(found["text"])
    return place, notes
