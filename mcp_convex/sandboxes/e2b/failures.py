"""Turns whatever E2B's SDK raises into errors that say who must act."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import e2b
import httpx
import pyqwest
from connectrpc.errors import ConnectError

from mcp_convex.domain.errors import ConvexMcpError, DiskFull, SandboxBusy, SandboxLost, SettingsInvalid

_THEIRS = (
    e2b.SandboxException,
    e2b.AuthenticationException,
    e2b.BuildException,
    e2b.ServiceBusyException,
    # Those of its libraries, where it lets them through.
    ConnectError,
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    pyqwest.ReadError,
    pyqwest.RemoteProtocolError,
    pyqwest.TooManyRedirects,
    pyqwest.WriteError,
    OSError,  # also of TLS, and for what took too long
    ValueError,  # an answer, of E2B's or of our program in the box, that is not what it should be
)
_Meaning = tuple[type[ConvexMcpError], str, str]
_CHECK = "Have the operator run `mcp-convex e2b check`."
_NO_TEMPLATE: _Meaning = (SettingsInvalid, "E2B does not accept the template, or the account may not use it.", _CHECK)
_MEANINGS: tuple[tuple[tuple[type[Exception], ...], _Meaning], ...] = (
    (
        (e2b.AuthenticationException,),
        (SettingsInvalid, "E2B does not accept the API key.", "Have the operator set E2B_API_KEY."),
    ),
    (
        (e2b.RateLimitException, e2b.ServiceBusyException),
        (
            SandboxBusy,
            "E2B is overloaded, or gives this account no more sandboxes at the moment.",
            "Do the same again in a minute.",
        ),
    ),
    (
        (e2b.NotEnoughSpaceException,),
        (DiskFull, "The sandbox's disk is full. Nothing was changed.", "Delete what is not needed there."),
    ),
    (
        (e2b.InvalidArgumentException,),
        (SettingsInvalid, "E2B does not accept how sandboxes are set up here.", _CHECK),
    ),
)


def lost() -> SandboxLost:
    """Return what is to be said when a sandbox is gone, or does not answer."""
    return SandboxLost(
        "The sandbox of this workspace vanished or cannot be reached. Its files are kept on this side.",
        next_step="Make the same call again: another sandbox is started if need be.",
    )


def silent() -> SandboxLost:
    """Return what is to be said when it is E2B itself that does not answer."""
    return SandboxLost(
        "E2B cannot be reached, or does not answer as it should.",
        next_step="Do the same again in a minute. If it stays so, have the operator look at this machine's network.",
    )


@asynccontextmanager
async def translated(within_s: float | None, otherwise: Callable[[], SandboxLost] = lost) -> AsyncGenerator[None]:
    """
    Bound the block to *within_s* seconds, and translate what it raises; what says no more becomes *otherwise*.

    The SDK's own limits are not enough: it does not keep them in every case.

    Beside its own tree of exceptions the SDK lets through those of its libraries, raises bare ones, and the
    cancellation of a stream that was ended under it. Most of them mean that the sandbox cannot be reached. What
    is none of theirs is a fault of ours, and goes through.
    """
    task = asyncio.current_task()
    cancelling = task.cancelling() if task else 0
    try:
        async with asyncio.timeout(within_s):
            yield
    except ConvexMcpError:
        raise
    except asyncio.CancelledError as exc:
        if task is None or task.cancelling() > cancelling:
            raise
        raise otherwise() from exc  # nobody cancelled this task: it is the stream's own
    except Exception as exc:  # the SDK raises `Exception` itself too; what is neither goes on
        if not isinstance(exc, _THEIRS) and type(exc) is not Exception:
            raise
        raise _meaning(exc, otherwise) from exc


def _meaning(exc: Exception, otherwise: Callable[[], SandboxLost]) -> ConvexMcpError:
    found = next((meaning for kinds, meaning in _MEANINGS if isinstance(exc, kinds)), None)
    if found is None and isinstance(exc, e2b.SandboxException) and _is_of_the_template(exc):
        found = _NO_TEMPLATE
    if found is None:
        return otherwise()
    error, message, next_step = found
    return error(message, next_step=next_step)


def _is_of_the_template(exc: e2b.SandboxException) -> bool:
    """Say whether the template is refused: by E2B, or by the SDK itself, which then has no answer's status."""
    return exc.status_code in {400, 403, 404} or (isinstance(exc, e2b.TemplateException) and exc.status_code is None)
