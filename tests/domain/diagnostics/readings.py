"""The outputs of the real CLI that the parsers are tested on, and how a reading of one is written down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcp_convex.domain.diagnostics import next_step, parse_output
from mcp_convex.domain.pushes import Diagnostic

HERE = Path(__file__).parent
ROOT = "/workspace"
"""Where the project was when its output was taken."""

OUTPUTS = {path.stem: path for path in sorted((HERE / "outputs").glob("*.txt"))}


def output(name: str) -> str:
    return OUTPUTS[name].read_text(encoding="utf-8")


def written(text: str) -> str:
    """Return what *text* is read as, for people to compare."""
    failure, diagnostics = parse_output(text, ROOT)
    if failure is None:
        return "nothing known\n"
    heading = f"{failure}: {next_step('failed', failure, diagnostics)}"
    return "\n\n".join([heading, *map(_written, diagnostics)]) + "\n"


def places(diagnostics: Sequence[Diagnostic]) -> list[tuple[str, str | None, int | None, int | None]]:
    return [(each.code, each.file, each.line, each.column) for each in diagnostics]


def _written(diagnostic: Diagnostic) -> str:
    place = ":".join(str(part) for part in (diagnostic.file, diagnostic.line, diagnostic.column) if part)
    lines = [f"{diagnostic.severity} {diagnostic.code} ({diagnostic.source}) {place}".rstrip(), diagnostic.message]
    if diagnostic.snippet:
        lines.append(f"> {diagnostic.snippet}")
    if diagnostic.hint:
        lines.append(f"= {diagnostic.hint}")
    return "\n".join(lines)
