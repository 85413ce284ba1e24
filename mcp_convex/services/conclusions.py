"""What a run of the CLI came to. The gate is believed first; the CLI's word alone is never a success."""

from __future__ import annotations

from mcp_convex.domain.diagnostics import parse_output
from mcp_convex.domain.ports import Ended
from mcp_convex.domain.pushes import REJECTIONS, Diagnostic, FailureClass, Outcome, Purpose
from mcp_convex.domain.secrets import redact
from mcp_convex.services.cli_runs import CliRun

_RAW_TAIL = 4_000


def findings(purpose: Purpose, run: CliRun) -> tuple[FailureClass | None, tuple[Diagnostic, ...]]:
    """Return why the run failed, or None, and what is wrong."""
    verdict = run.verdict
    if verdict.failure is not None:
        return verdict.failure, verdict.diagnostics
    if verdict.live if purpose == "push" else verdict.stopped:
        return None, verdict.diagnostics
    failure, diagnostics = parse_output(run.ended.output, run.root)
    if failure is None:
        failure = "timeout" if run.ended.timed_out else "tooling"
    return failure, (*verdict.diagnostics, *diagnostics)


def outcome_of(purpose: Purpose, failure: FailureClass | None) -> Outcome:
    """Return what the caller is told of a run for *purpose*."""
    if failure is not None:
        return "rejected" if failure in REJECTIONS else "failed"
    done: dict[Purpose, Outcome] = {"push": "pushed", "preview": "previewed", "check": "checked"}
    return done[purpose]


def raw_tail(failure: FailureClass | None, ended: Ended) -> str | None:
    """Return the end of the output, where no parser knew it."""
    return redact(ended.output[-_RAW_TAIL:]).strip() or None if failure == "tooling" else None
