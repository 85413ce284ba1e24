"""What each HTTP status and each httpx2 exception means to whoever called: two tables, both complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus
from types import MappingProxyType

import httpx2

from mcp_convex.domain import errors

FUNCTION_FAILED = 560
"""Convex's own status for a function that threw."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer."""

    error: errors.ConvexMcpError
    passing: bool = False
    """The same request may succeed in a moment."""
    after_s: float = 0
    """Seconds that the deployment asks to wait, at least."""


class Trouble(Enum):
    """What an httpx2 exception says about the request."""

    NOT_SENT = auto()
    LOST = auto()
    SILENT = auto()
    UNREADABLE = auto()
    UNSENDABLE = auto()


TROUBLES: Mapping[type[Exception], Trouble] = MappingProxyType(
    {
        httpx2.ConnectError: Trouble.NOT_SENT,
        httpx2.ProxyError: Trouble.NOT_SENT,
        httpx2.ConnectTimeout: Trouble.NOT_SENT,
        httpx2.PoolTimeout: Trouble.NOT_SENT,
        httpx2.ReadError: Trouble.LOST,
        httpx2.WriteError: Trouble.LOST,
        httpx2.CloseError: Trouble.LOST,
        httpx2.RemoteProtocolError: Trouble.LOST,
        httpx2.ReadTimeout: Trouble.SILENT,
        httpx2.WriteTimeout: Trouble.SILENT,
        httpx2.DecodingError: Trouble.UNREADABLE,
        httpx2.TooManyRedirects: Trouble.UNREADABLE,
        httpx2.SSEError: Trouble.UNREADABLE,
        httpx2.LocalProtocolError: Trouble.UNSENDABLE,
        httpx2.UnsupportedProtocol: Trouble.UNSENDABLE,
        httpx2.InvalidURL: Trouble.UNSENDABLE,
    }
)


def from_exception(exc: Exception, *, repeatable: bool) -> Failure:
    """Return what *exc*, one of `TROUBLES`, means for a request that is *repeatable* or not."""
    kind = type(exc).__name__
    passing = not isinstance(exc, httpx2.TimeoutException)  # who was silent once may be so for as long again
    match next(trouble for known, trouble in TROUBLES.items() if isinstance(exc, known)):
        case Trouble.NOT_SENT:
            return Failure(_unreachable(kind), passing=passing)
        case Trouble.LOST | Trouble.SILENT:
            return Failure(_unreachable(kind) if repeatable else _unknown(kind), passing=passing)
        case Trouble.UNREADABLE:
            return Failure(unexpected(f"The deployment's answer cannot be read ({kind})."))
        case Trouble.UNSENDABLE:
            return Failure(unsendable())


def from_silence(*, repeatable: bool) -> Failure:
    """Return what it means that an answer did not come to its end in time."""
    kind = "no complete answer in time"
    return Failure(_unreachable(kind) if repeatable else _unknown(kind))


def from_status(response: httpx2.Response, *, repeatable: bool) -> Failure:
    """
    Return what a refusal means.

    Its body is not read: the text is the deployment's, not ours, and may have been written to mislead.
    """
    status, after_s = response.status_code, _retry_after(response.headers)
    # A deployment that was created a moment ago answers 404 for a while.
    passing = status in {404, 408, 429} or (status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != FUNCTION_FAILED)
    error: errors.ConvexMcpError
    match status:
        case 401:
            error = _rejected()
        case 403:
            error = not_allowed()
        case 404:
            error = _unknown_path(response.request.url.path)
        case 413:
            error = too_large("The request is larger than the deployment takes.")
        case 429 | 503:
            error = _limited(after_s)
        case _ if response.has_redirect_location:
            error = _redirected()
        case _ if passing and not repeatable:
            error = _unknown(f"status {status}")
        case 408 | 502 | 504:
            error = _unreachable(f"status {status}")
        case _:
            error = unexpected(f"The deployment answered with status {status}.")
    return Failure(error, passing=passing, after_s=after_s)


def unexpected(message: str) -> errors.UnexpectedAnswer:
    """Return the error for an answer that Convex does not document."""
    return errors.UnexpectedAnswer(
        message, next_step="Try again later. If it stays so, ask the person to check the deployment."
    )


def not_allowed() -> errors.ActionNotAllowed:
    """Return the error for a key that lacks a permission."""
    return errors.ActionNotAllowed(
        "The stored key may not do this on the deployment.",
        next_step="Ask the person to link the deployment again with a key that may.",
    )


def too_large(message: str) -> errors.TooLarge:
    """Return the error for a body that exceeds its bound."""
    return errors.TooLarge(message, next_step="Ask for less, or send less, in one call.")


def unsendable() -> errors.SettingsInvalid:
    """Return the error for a URL or a key that no request can carry. Says nothing about the key."""
    return errors.SettingsInvalid(
        "The deployment's URL or key is malformed.",
        next_step="Ask the person to run `mcp-convex connect` with the URL and key that the deployment shows.",
    )


def _unreachable(kind: str) -> errors.ConvexUnreachable:
    return errors.ConvexUnreachable(
        f"The deployment did not answer ({kind}).",
        next_step="Try the same call again in a few seconds. If it stays so, ask the person whether it runs.",
    )


def _unknown(kind: str) -> errors.OutcomeUnknown:
    return errors.OutcomeUnknown(
        f"The call was sent, but its answer was lost ({kind}): it may have taken effect.",
        next_step="Look at the data or the logs before calling again.",
    )


def _rejected() -> errors.CredentialRejected:
    return errors.CredentialRejected(
        "The deployment does not accept the stored key.",
        next_step="Ask the person to link the deployment again with `mcp-convex connect`.",
    )


def _unknown_path(path: str) -> errors.NotFound:
    return errors.NotFound(
        f"The deployment does not know `{path}`.",
        next_step="Ask the person whether the URL is a Convex deployment's, and a recent one.",
    )


def _redirected() -> errors.UnexpectedAnswer:
    return errors.UnexpectedAnswer(
        "The deployment redirects elsewhere, where its key may not go.",
        next_step="Ask the person to link the URL at which the deployment itself answers.",
    )


def _limited(after_s: float) -> errors.RateLimited:
    when = f"in {after_s:.0f} seconds" if after_s else "in a minute"
    return errors.RateLimited("The deployment is overloaded, or asks for fewer calls.", next_step=f"Try again {when}.")


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of a `Retry-After` (RFC 9110, 10.2.3), which may also be a date; 0 without a valid one."""
    value = headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0
