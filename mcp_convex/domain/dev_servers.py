"""A dev server: a workspace whose files go live by themselves, and what can be said of it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from mcp_convex.domain.models import Model, Target
from mcp_convex.domain.pushes import Diagnostic, FailureClass, Outcome, PushRecord

DevServerAction = Literal["start", "stop", "status"]

DevServerState = Literal["off", "waiting", "pushing", "retrying", "elsewhere"]
"""`waiting` is for a change; `elsewhere` says that another server of this store does the work."""

DIAGNOSTICS = 5
"""That the status shows; the push itself has all of them."""


class DevServer(Model):
    """A dev server as the store keeps it."""

    on: bool
    started_at: datetime
    since: datetime = Field(description="When it was started, or ended.")
    target: Target
    because: str | None = Field(default=None, description="Why it ended, where nobody asked for that.")


class DevPush(Model):
    """A push in short."""

    id: str = Field(description="Read it whole as `convex://pushes/{id}`.")
    at: datetime
    outcome: Outcome
    failure: FailureClass | None = None
    duration_s: float = Field(description="Seconds.")
    diagnostics: tuple[Diagnostic, ...] = Field(default=(), description="The first of them.")
    omitted: int = Field(default=0, description="How many more diagnostics there are.")

    @classmethod
    def of(cls, record: PushRecord) -> DevPush:
        """Return *record* in short."""
        result = record.result
        return cls(
            id=record.id,
            at=record.started_at,
            outcome=result.outcome,
            failure=result.failure,
            duration_s=result.duration_s,
            diagnostics=result.diagnostics[:DIAGNOSTICS],
            omitted=max(0, len(result.diagnostics) - DIAGNOSTICS),
        )


class Pushes(Model):
    """The latest pushes."""

    pushes: tuple[DevPush, ...] = Field(description="Newest first.")


class DevServerStatus(Model):
    """Whether writes go live by themselves, and what came of the last one."""

    on: bool
    state: DevServerState
    since: datetime | None = Field(default=None, description="When it was started or ended; none if it never was on.")
    target: Target | None = Field(default=None, description="Where it pushes, or pushed, to.")
    last_push: DevPush | None = Field(default=None, description="The workspace's latest push, whoever asked for it.")
    failures_alike: int = Field(default=0, description="Pushes in a row, since it was started, that failed alike.")
    stopped_because: str | None = Field(default=None, description="Why it is off, where nobody asked for that.")
    trouble: str | None = Field(default=None, description="What kept it from pushing, so that it tries again.")
    next_step: str = Field(description="What to do now.")
