"""What a page of the guidelines holds: files to push, and calls with what they give."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mcp_convex

RESOURCES = Path(mcp_convex.__file__).parent / "resources"
GUIDELINES = RESOURCES / "guidelines"
TEMPLATES = RESOURCES / "templates"

_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_STEP = re.compile(r"(?:as (?P<who>\w+): )?(?P<what>\S+) (?P<args>.*?) ?→ (?P<gives>.+)")


@dataclass(frozen=True)
class Step:
    """One line of a `run` block: a function's name with arguments, or an HTTP method with a path and a body."""

    who: str | None
    what: str
    args: str
    gives: str

    def __str__(self) -> str:
        return f"{self.what} {self.args} → {self.gives}"


def topics() -> list[str]:
    return sorted(page.stem for page in GUIDELINES.glob("*.md"))


def text(topic: str) -> str:
    return (GUIDELINES / f"{topic}.md").read_text(encoding="utf-8")


def files() -> dict[str, str]:
    """Return the files of all pages, which are one app."""
    found: dict[str, str] = {}
    for topic in topics():
        for _, path, content in _BLOCK.findall(text(topic)):
            if path:
                assert path not in found, path
                found[path] = content
    return found


def steps(topic: str) -> Iterator[Step]:
    for language, _, content in _BLOCK.findall(text(topic)):
        for line in content.splitlines() if language == "run" else ():
            found = _STEP.fullmatch(line)
            assert found, line
            yield Step(**found.groupdict())


def matches(shown: Any, given: Any) -> bool:
    """Say whether *given* has all that *shown* names; an object may have more fields than are shown."""
    if isinstance(shown, dict) and isinstance(given, dict):
        return all(name in given and matches(value, given[name]) for name, value in shown.items())
    if isinstance(shown, list) and isinstance(given, list):
        return len(shown) == len(given) and all(map(matches, shown, given))
    return bool(shown == given)


def filled(template: str, known: dict[str, str]) -> str:
    """Return *template* with each `$name` replaced by what an earlier line has given."""
    return re.sub(r"\$([a-z]+)", lambda found: known[found[1]], template)


def parsed(text: str) -> Any:
    return json.loads(text) if text else None
