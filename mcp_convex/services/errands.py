"""What an agent asks of a person, who does it on a page while the agent waits a little."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import anyio
from pydantic import Field

from mcp_convex.domain.models import Model

_LOOK_S = 0.25


class Awaited(Model):
    """How far the person has come."""

    waiting: bool = Field(description="True until the person has finished on the page.")
    link: str | None = Field(
        default=None, description="Give it to the person to open; none where the client has shown it to them."
    )
    next_step: str


T = TypeVar("T", bound=Awaited)


@dataclass(frozen=True, slots=True)
class Opened:
    """A page that is open for its person."""

    id: str
    """By which the errand is found again. It opens nothing."""
    link: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand(Generic[T]):
    """One thing to ask of a person: the surface decides how they get the link."""

    why: str
    """One sentence for the person, shown with the link."""
    begin: Callable[[], Awaitable[Opened]]
    outcome: Callable[[str, float], Awaitable[T]]
    """Returns how far the errand with an id has come, after waiting for its person as many seconds at most."""
    declined: Callable[[str], Awaitable[None]]
    """Called with the errand's id when the person would not open the link."""


async def wait_while(is_waiting: Callable[[], Awaitable[bool]], wait_s: float) -> None:
    """Return once *is_waiting* says no, or after *wait_s* seconds."""
    with anyio.move_on_after(wait_s):
        # Asked again and again, since another process may be the one that the person answers.
        while await is_waiting():  # noqa: ASYNC110 - see above
            await anyio.sleep(_LOOK_S)
