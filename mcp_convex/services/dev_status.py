"""What can be said of a dev server, from its record and the workspace's pushes."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_convex.domain.dev_servers import DevPush, DevServer, DevServerState, DevServerStatus
from mcp_convex.domain.pushes import FailureClass, PushRecord

_MENDED_BY_A_WRITE: frozenset[FailureClass] = frozenset({"source", "too_large"})
_NEVER_ON = "Call `dev_server` with `start`, and each write goes live by itself; or call `push` for each change."
_ENDED = "Tell the person why it is off. `start` turns it on again; until then call `push` for each change."
_IN_STEP = "Go on writing: it goes live by itself. `status`, or `convex://dev-server`, tells what came of it."
_MEND = "Mend what the diagnostics say with `write_files`: that is pushed by itself."
_RETRIES = "Wait: it tries again by itself, within a minute."


def failures_alike(server: DevServer, alike: Sequence[PushRecord]) -> int:
    """Return how many of the pushes *alike*, which are the latest, failed since *server* was started."""
    return sum(record.result.failure is not None and record.started_at >= server.started_at for record in alike)


def status_of(
    server: DevServer | None, state: DevServerState, alike: Sequence[PushRecord], trouble: str | None
) -> DevServerStatus:
    """
    Return the status of *server*, None where the workspace never had one.

    Args:
        alike: The workspace's pushes, newest first, as far back as they failed alike.
        trouble: What kept it from pushing.
    """
    last = alike[0] if alike else None
    in_short = DevPush.of(last) if last else None
    if server is None:
        return DevServerStatus(on=False, state="off", last_push=in_short, next_step=_NEVER_ON)
    return DevServerStatus(
        on=server.on,
        state="off" if not server.on else "elsewhere" if state == "off" else state,
        since=server.since,
        target=server.target,
        last_push=in_short,
        failures_alike=failures_alike(server, alike),
        stopped_because=server.because,
        trouble=trouble if server.on else None,
        next_step=_next_step(server, state, last),
    )


def _next_step(server: DevServer, state: DevServerState, last: PushRecord | None) -> str:
    if not server.on:
        return _ENDED if server.because else _NEVER_ON
    if state == "retrying":
        return _RETRIES
    if last is None or last.result.failure is None:
        return _IN_STEP
    return _MEND if last.result.failure in _MENDED_BY_A_WRITE else last.result.next_step
