"""What went wrong, as an answer to HTTP: RFC 9457's problem details, with our code and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import Field
from starlette.responses import Response

from mcp_convex.domain.errors import (
    ActionNotAllowed,
    BlockedByPolicy,
    ConvexMcpError,
    DeadlinePassed,
    InputError,
    LimitReached,
    NotFound,
    RateLimited,
    SandboxError,
    TooLarge,
    UpstreamError,
)
from mcp_convex.domain.models import Model
from mcp_convex.domain.secrets import redact

MEDIA_TYPE = "application/problem+json"

_STATUS: Mapping[type[ConvexMcpError], int] = {
    NotFound: 404,
    TooLarge: 413,
    InputError: 400,
    LimitReached: 429,
    DeadlinePassed: 503,
    ActionNotAllowed: 403,
    BlockedByPolicy: 403,
    RateLimited: 503,
    UpstreamError: 502,
    SandboxError: 503,
}
_IN_ANOTHER_STATE = 409
"""For all other errors: a person has to act first, or another call has to end first."""


class Problem(Model):
    """Why a call came to nothing (RFC 9457)."""

    title: str = Field(description="What the status says.")
    status: int
    detail: str = Field(description="What went wrong, in a sentence.")
    code: str = Field(description="Which error it is; it never changes.")
    next_step: str = Field(description="What to do now.")


class Refused(Exception):
    """A call of HTTP is refused, by no error of the services."""

    def __init__(
        self, status: int, code: str, message: str, next_step: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.answer = problem(status, code, message, next_step, headers)


def problem(status: int, code: str, message: str, next_step: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that says so."""
    said = Problem(
        title=HTTPStatus(status).phrase, status=status, detail=redact(message), code=code, next_step=redact(next_step)
    )
    return Response(said.model_dump_json(), status, headers, MEDIA_TYPE)


def problem_of(exc: ConvexMcpError) -> Response:
    """Return the answer for an error that was raised on purpose."""
    known = (_STATUS[kind] for kind in type(exc).__mro__ if kind in _STATUS)
    after_s = exc.retry_after_s if isinstance(exc, LimitReached) else None
    later = {} if after_s is None else {"Retry-After": str(after_s)}
    return problem(next(known, _IN_ANOTHER_STATE), exc.code, exc.message, exc.next_step, later)


def internal_problem() -> Response:
    """Return the answer for a bug."""
    return problem(500, "internal_error", "A bug in mcp-convex stopped the call.", "Tell the operator.")
