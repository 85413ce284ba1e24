"""What each HTTP status and each httpx2 exception means to the caller: two tables, both complete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus
from types import MappingProxyType
from typing import TypeVar

import httpx2

from mcp_convex.convex_api.peers import Peer, Said
from mcp_convex.domain import errors

E = TypeVar("E", bound=errors.ConvexMcpError)

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


def from_exception(exc: Exception, peer: Peer, *, repeatable: bool) -> Failure:
    """Return what *exc*, one of `TROUBLES`, means for a request that is *repeatable* or not."""
    kind = type(exc).__name__
    passing = not isinstance(exc, httpx2.TimeoutException)  # a second try may take as long again
    match next(trouble for known, trouble in TROUBLES.items() if isinstance(exc, known)):
        case Trouble.NOT_SENT:
            return Failure(_unreachable(kind, peer), passing=passing)
        case Trouble.LOST | Trouble.SILENT:
            return Failure(_unreachable(kind, peer) if repeatable else _unknown(kind, peer), passing=passing)
        case Trouble.UNREADABLE:
            return Failure(unexpected(f"{peer.subject}'s answer cannot be read ({kind})."))
        case Trouble.UNSENDABLE:
            return Failure(unsendable(peer))


def from_silence(peer: Peer, *, repeatable: bool) -> Failure:
    """Return what it means that an answer did not come to its end in time."""
    kind = "no complete answer in time"
    return Failure(_unreachable(kind, peer) if repeatable else _unknown(kind, peer))


def from_status(response: httpx2.Response, peer: Peer, *, repeatable: bool) -> Failure:
    """
    Return what a refusal means.

    The text of its body is not read: it is the peer's, not ours, and may have been written to mislead.
    """
    status, after_s = response.status_code, _retry_after(response.headers)
    broke = status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != FUNCTION_FAILED
    error: errors.ConvexMcpError
    match status:
        case 401:
            error = _of(errors.CredentialRejected, peer.rejected)
        case 403:
            error = not_allowed(peer)
        case 404:
            error = errors.NotFound(
                peer.absent.message.format(path=response.request.url.path), next_step=peer.absent.next_step
            )
        case 413:
            error = too_large("The request is larger than may be sent.")
        case 429 | 503:
            error = _limited(after_s, peer)
        case _ if response.has_redirect_location:
            error = _redirected(peer)
        case _ if (broke or status == HTTPStatus.REQUEST_TIMEOUT) and not repeatable:
            error = _unknown(f"status {status}", peer)
        case 408 | 502 | 504:
            error = _unreachable(f"status {status}", peer)
        case _:
            error = unexpected(f"{peer.subject} answered with status {status}.")
    # A deployment that was created a moment ago answers 404 for a while.
    return Failure(error, passing=broke or status in {404, 429}, after_s=after_s)


def from_refusal(code: str, peer: Peer) -> errors.ConvexMcpError | None:
    """Return what the name of a refusal means, where *peer* is known to refuse by that name."""
    named = peer.refusals.get(code)
    return _of(*named) if named else None


def unexpected(message: str) -> errors.UnexpectedAnswer:
    """Return the error for an answer that Convex does not document."""
    return errors.UnexpectedAnswer(message, next_step="Try again later. If it keeps happening, tell the person.")


def too_large(message: str) -> errors.TooLarge:
    """Return the error for a body that exceeds its bound."""
    return errors.TooLarge(message, next_step="Ask for less, or send less, in one call.")


def not_allowed(peer: Peer) -> errors.ActionNotAllowed:
    """Return the error for a credential that lacks a permission."""
    return _of(errors.ActionNotAllowed, peer.forbidden)


def unsendable(peer: Peer) -> errors.SettingsInvalid:
    """Return the error for a URL or a credential that no request can carry. Says nothing about the credential."""
    return _of(errors.SettingsInvalid, peer.malformed)


def _of(leaf: type[E], said: Said) -> E:
    return leaf(said.message, next_step=said.next_step)


def _unreachable(kind: str, peer: Peer) -> errors.ConvexUnreachable:
    return errors.ConvexUnreachable(f"{peer.subject} did not answer ({kind}).", next_step=peer.if_silent)


def _unknown(kind: str, peer: Peer) -> errors.OutcomeUnknown:
    return errors.OutcomeUnknown(
        f"The call was sent, but its answer was lost ({kind}): it may have taken effect.", next_step=peer.if_lost
    )


def _redirected(peer: Peer) -> errors.UnexpectedAnswer:
    return errors.UnexpectedAnswer(
        f"{peer.subject} redirects elsewhere, where the credential may not go.",
        next_step="Ask the person for the URL at which it answers itself.",
    )


def _limited(after_s: float, peer: Peer) -> errors.RateLimited:
    when = f"in {after_s:.0f} seconds" if after_s else "in a minute"
    return errors.RateLimited(f"{peer.subject} is overloaded, or asks for fewer calls.", next_step=f"Try again {when}.")


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of a `Retry-After` (RFC 9110, 10.2.3), which may also be a date; 0 without a valid one."""
    value = headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return 0.0
