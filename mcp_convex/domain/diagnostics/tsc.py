"""
What the TypeScript compiler prints, with and without `--pretty`, version 5 and 7.

The Convex CLI (1.48) passes the compiler's output on in the pieces in which it arrives,
each without its trailing blanks and with a line feed added. TypeScript 7 writes in small
pieces, so a line feed may stand between any two words: `convex/a.ts`, `:`, `9`, `:` on
four lines. That is why a diagnostic is found by its code, and read backwards from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from mcp_convex.domain.diagnostics.findings import LONGEST_MESSAGE, Finding, Place
from mcp_convex.domain.pushes import FailureClass

_CODE = re.compile(r"\bTS(\d{4,5})\s{0,4}:")
_LONGEST_HEAD = 600
_LONGEST_BODY = 3 * LONGEST_MESSAGE

_SEVERITIES = ("error", "warning", "message")
_SEVERITY = rf"(?P<severity>{'|'.join(_SEVERITIES)})\s*\Z"
_PRETTY = re.compile(r":\s{0,4}(?P<line>\d{1,8})\s{0,4}:\s{0,4}(?P<column>\d{1,8})\s{0,4}-\s{0,4}" + _SEVERITY)
_PLAIN = re.compile(r"\((?P<line>\d{1,8}),(?P<column>\d{1,8})\): " + _SEVERITY)
_NOWHERE = re.compile(r"^\s*" + _SEVERITY, re.MULTILINE)
_RELATED = re.compile(r"(?P<at>\S+:\d+:\d+)(?:\s+-\s+(?P<text>\S.*))?")
_GUTTER = re.compile(r"\d+(?:\s|$)|~")
_HANDLER = re.compile(r"'\(ctx: [^']{80,}'")
"""The type of a whole handler: what is wrong with it stands in the lines below, in short."""
_SUMMARY = re.compile(r"^Found \d+ errors?\b", re.MULTILINE)


class _Head(NamedTuple):
    """One diagnostic's first line up to its message."""

    start: int
    end: int
    code: str
    severity: str
    place: Place


def parse(text: str) -> Iterator[Finding]:
    """Yield what the compiler found, in its order."""
    heads = list(_heads(text))
    for head, following in zip_longest(heads, heads[1:]):
        end = following.start if following else len(text)
        yield _finding(head, text[head.end : min(end, head.end + _LONGEST_BODY)])


def _heads(text: str) -> Iterator[_Head]:
    seen = 0
    for code in _CODE.finditer(text):
        start = max(seen, code.start() - _LONGEST_HEAD)
        before = text[start : code.start()]
        if before.rstrip().endswith(_SEVERITIES) and (head := _head(before, start, code)):
            yield head
            seen = code.end()


def _head(before: str, offset: int, code: re.Match[str]) -> _Head | None:
    """Read backwards from a code what stands before it; None where the code is only mentioned."""
    found = _PRETTY.search(before) or _PLAIN.search(before)
    if found:
        path = before[: found.start()].rstrip().rpartition("\n")[2]
        start = before.rfind(path, 0, found.start())
        place = Place(path, int(found["line"]), int(found["column"]))
    else:
        found = _NOWHERE.search(before)
        if not found:
            return None
        # What is wrong nowhere in the sources is wrong in the compiler's settings.
        start, place = found.start(), Place("convex/tsconfig.json")
    return _Head(offset + start, code.end(), f"TS{code[1]}", found["severity"], place)


def _finding(head: _Head, body: str) -> Finding:
    summary = _SUMMARY.search(body)
    body = (body[: summary.start()] if summary else body).strip()
    message, source = _split(body, head.place.line)
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    snippet = lines[0] if lines and not lines[0].startswith("~") else None
    failure: FailureClass | None = "source" if head.severity == "error" else None
    text = "\n".join([_HANDLER.sub("'(ctx: …) => …'", message), *_related(lines[1:])])
    return Finding.of(failure, "tsc", head.code, text, head.place._replace(snippet=snippet))


def _split(body: str, line: int | None) -> tuple[str, str]:
    """Part the message from the source that follows it, which begins with the number of its line."""
    gutter = re.search(rf"^{line}(?:\s|\Z)", body, re.MULTILINE) if line else None
    if gutter and gutter.start():
        return _joined(body[: gutter.start()]), body[gutter.end() :]
    first, *others = body.splitlines() or [""]
    chain = [first]
    for other in others:
        if not other.startswith("  "):
            break
        chain.append(other)
    return _joined("\n".join(chain)), ""


def _joined(message: str) -> str:
    """Mend the lines that were broken in passing; those of a chain of reasons begin with blanks."""
    kept = [line.rstrip() for line in message.splitlines() if line.strip()]
    return "".join(line if not i else ("\n" if line[0] == " " else " ") + line for i, line in enumerate(kept))


def _related(lines: list[str]) -> Iterator[str]:
    """Yield the other places that a diagnostic points at. Version 5 prints the text below its source."""
    pending: str | None = None
    for line in lines:
        related = _RELATED.fullmatch(line)
        if related and related["text"]:
            yield f"{related['at']}: {related['text']}"
        elif related:
            pending = related["at"]
        elif pending and not _GUTTER.match(line):
            yield f"{pending}: {line}"
            pending = None
