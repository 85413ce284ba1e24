"""What a push or a check came to. The gate is believed first; the CLI's word alone is never a success."""

from __future__ import annotations

import secrets

from mcp_convex.domain.diagnostics import parse_output
from mcp_convex.domain.env_vars import EnvVar
from mcp_convex.domain.errors import AccessError, ConvexMcpError
from mcp_convex.domain.ports import Ended
from mcp_convex.domain.pushes import REJECTIONS, Diagnostic, FailureClass, Outcome, Purpose, PushResult
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


def unreached(exc: ConvexMcpError, duration_s: float) -> PushResult:
    """Return the result of a push that did not begin, since the deployment could not be reached or refused the key."""
    failure: FailureClass = "auth" if isinstance(exc, AccessError) else "transient"
    return PushResult(
        outcome="failed",
        id=secrets.token_hex(4),
        stage="starting",
        failure=failure,
        next_step=exc.next_step,
        duration_s=round(duration_s, 3),
        diagnostics=(Diagnostic(code=exc.code, message=exc.message, source="convex"),),
    )


def missing_env_var(env_var: EnvVar) -> Diagnostic:
    """Return the warning that a push would be rejected for want of *env_var*."""
    return Diagnostic(
        file=env_var.needed_by,
        severity="warning",
        code="env_missing",
        message=f"The env var `{env_var.name}` is not set: a push would be rejected.",
        hint="Ask the person for it with `request_env_var`, or use `set_env_vars` if it is not secret.",
        source="check",
    )
