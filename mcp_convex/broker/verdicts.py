"""How a push ends short of going live: why, what to say about it, and an answer on which the CLI stops."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_convex.broker.answers import Answer, said
from mcp_convex.broker.steps import Step
from mcp_convex.broker.upstream import Lost, Reply
from mcp_convex.broker.wire import SchemaStatus
from mcp_convex.domain.diagnostics import from_schema_failure, from_server
from mcp_convex.domain.pushes import Diagnostic, FailureClass

_FATAL = frozenset({400, 401, 403})
"""Statuses on which the CLI ends. It repeats a call, or the whole push, after any other."""
_TRANSIENT_CODE = "RaceDetected"
"""The code on which the CLI begins the push again, though the status is 400."""


class Ended(Exception):
    """The push is over: the gate has decided."""

    def __init__(
        self, failure: FailureClass | None, diagnostics: Sequence[Diagnostic] = (), *, answer: Answer | None = None
    ) -> None:
        super().__init__(failure)
        self.failure: FailureClass | None = failure
        self.diagnostics = tuple(diagnostics)
        self.answer = answer or _told(self.diagnostics)


def refused(step: Step, reply: Reply) -> Ended:
    """Return the end that an answer other than 200 brings."""
    if reply.deprecation is not None:
        return Ended("tooling", [_diagnostic("cli_deprecated", reply.deprecation)], answer=_fatal(reply))
    message = reply.message or f"The deployment answered `{step.name}` with status {reply.status}."
    failure, diagnostics = from_server(reply.code, message, reply.status)
    return Ended(failure, diagnostics, answer=_fatal(reply))


def lost(step: Step, loss: Lost) -> Ended:
    """Return the end that a missing or broken answer brings."""
    failure: FailureClass = "timeout" if loss.why == "silent" else "transient"
    code, what = _LOSSES[loss.why]
    return Ended(failure, [_diagnostic(code, f"The deployment {what} when it was asked for `{step.name}`.")])


def misshapen(step: Step) -> Ended:
    """Return the end that a 200 brings whose body is not what Convex answers."""
    message = f"The deployment answered `{step.name}` with something that is not in Convex's push protocol."
    return Ended("tooling", [_diagnostic("unexpected_answer", message)])


def out_of_time(step: Step) -> Ended:
    """Return the end that the session's deadline brings."""
    return Ended("timeout", [_diagnostic("deadline", f"The push ran out of time at `{step.name}`.")])


def schema_refused(status: SchemaStatus, answer: Answer) -> Ended:
    """Return the end that a schema brings which the stored documents do not fit, or which another push replaced."""
    if status.type == "raceDetected":
        failure, diagnostics = from_server(_TRANSIENT_CODE, "Another push replaced the schema of this one.", None)
        return Ended(failure, diagnostics, answer=answer)
    failure, diagnostics = from_schema_failure(status.error, status.table_name, status.component_path or "")
    return Ended(failure, diagnostics, answer=answer)


def unfinished(*, known: bool) -> Ended:
    """Return the end of a push whose `finish_push` got no answer: *known* not to be live, or in the dark."""
    what = "the code of before is still live" if known else "whether it is live could not be found out"
    message = f"The deployment did not confirm the push, and {what}."
    return Ended("transient", [_diagnostic("finish_unconfirmed", message)])


def too_large() -> Ended:
    """Return the end of a push that exceeds what Convex takes."""
    return Ended("too_large", [_diagnostic("push_too_large", "The push is larger than the 200 MB that Convex takes.")])


def out_of_order(step: Step) -> Ended:
    """Return the end of a CLI that does not keep to the protocol."""
    return Ended("tooling", [_diagnostic("unexpected_request", f"The CLI asked for `{step.name}` out of turn.")])


def unforeseen(exc: Exception) -> Ended:
    """Return the end that a bug of ours brings; only the exception's type is told."""
    return Ended("tooling", [_diagnostic("gate_failed", f"The gate failed unexpectedly ({type(exc).__name__}).")])


_LOSSES = {
    "unreachable": ("convex_unreachable", "could not be reached"),
    "cut_off": ("answer_cut_off", "broke its answer off"),
    "silent": ("no_answer", "did not answer in time"),
    "oversized": ("unexpected_answer", "answered with more than 200 MB"),
}


def _diagnostic(code: str, message: str) -> Diagnostic:
    return Diagnostic(code=code, message=message, source="convex")


def _told(diagnostics: Sequence[Diagnostic]) -> Answer:
    if not diagnostics:
        return said(400, "PushEnded", "The gate has seen what it wanted to know, and ends the push on purpose.")
    return said(400, diagnostics[0].code, diagnostics[0].message)


def _fatal(reply: Reply) -> Answer:
    """Return *reply* with a status and code on which the CLI stops."""
    status = reply.status if reply.status in _FATAL else 400
    code = reply.code if reply.code and reply.code != _TRANSIENT_CODE else "PushEnded"
    message = reply.message or f"The deployment answered with status {reply.status}."
    return Answer(status, said(status, code, message).body, reply.headers)
