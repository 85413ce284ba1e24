"""The CLI's whole output: which part counts, what stands in it, and the class of failure that it comes to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from mcp_convex.domain.diagnostics import convex_cli, esbuild, tsc
from mcp_convex.domain.diagnostics.findings import Finding, bounded
from mcp_convex.domain.pushes import Diagnostic, FailureClass

_CONTROL = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?=\n)"
)
_ATTEMPT = re.compile(r"^- (?:Preparing Convex functions|Deploying to )", re.MULTILINE)
_SUCCESS = re.compile(r"^✔ (?:\d\d:\d\d:\d\d )?(?:Convex functions ready!|Deployed Convex functions to )", re.MULTILINE)
_BLOCK = re.compile(f"{convex_cli.HEAD.pattern}|{esbuild.HEAD.pattern}|^- (?:Collecting|Preparing)", re.MULTILINE)
_LONGEST_OUTPUT = 2_000_000
_LONGEST_BLOCK = 8_000
_MOST_BLOCKS = 500


def parse_output(text: str, root: str | None = None) -> tuple[FailureClass | None, tuple[Diagnostic, ...]]:
    """
    Read what the CLI and the programs under it printed, colours or not.

    *root* is where the workspace's files were when the CLI ran; paths come back relative to it.

    Returns:
        The class of failure and its diagnostics. `(None, ())` where nothing is known, as
        after a success: whether a push went live is never read from here.
    """
    for attempt in reversed(_attempts(_clean(text, root))):
        if _SUCCESS.search(attempt):
            return None, ()
        findings = list(_findings(attempt))
        failures: list[FailureClass] = [finding.failure for finding in findings if finding.failure]
        if failures:
            return failures[0], bounded(finding.diagnostic for finding in findings)
    return None, ()


def _clean(text: str, root: str | None) -> str:
    if len(text) > _LONGEST_OUTPUT:
        text = text[: _LONGEST_OUTPUT // 2] + "\n" + text[-_LONGEST_OUTPUT // 2 :]
    text = _CONTROL.sub("", text).replace("\r", "\n")
    root = (root or "").rstrip("/\\")
    return re.sub(r"(?<![\w.-])" + re.escape(root) + r"(?:[/\\]|(?![\w.-]))", "", text) if root else text


def _attempts(text: str) -> list[str]:
    """Part the output at each new attempt: the CLI repeats a push by itself, and the last one counts."""
    starts = [0, *(attempt.start() for attempt in _ATTEMPT.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(starts)]


def _findings(text: str) -> Iterator[Finding]:
    """Yield what every parser finds, the most telling first."""
    blocks = _blocks(text)
    found = [*(finding for block in blocks for finding in (*esbuild.parse(block), *convex_cli.parse(block)))]
    found += tsc.parse(text)
    yield from found
    if not any(finding.failure for finding in found):
        summaries = [finding for block in blocks for finding in esbuild.parse_summary(block)]
        crash = list(convex_cli.parse_crash(text))
        yield from summaries or crash or [each for block in blocks for each in convex_cli.parse_last_resort(block)]


def _blocks(text: str) -> list[str]:
    starts = [block.start() for block in _BLOCK.finditer(text)]
    spans = pairwise([*starts, len(text)])
    return [text[start : min(end, start + _LONGEST_BLOCK)] for start, end in spans][:_MOST_BLOCKS]
