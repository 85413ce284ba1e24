"""Which kind of session the terms of a push ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_convex.broker.check import CheckSession
from mcp_convex.broker.contents import ContentsMemory
from mcp_convex.broker.push import PushSession
from mcp_convex.broker.session import Opening, Session
from mcp_convex.broker.tuning import Tuning
from mcp_convex.broker.upstream import Deadline, Upstream
from mcp_convex.domain.ports import OnStage, PushTerms
from mcp_convex.domain.secrets import PlaceholderValue

if TYPE_CHECKING:
    import httpx2

_HEAD_START = 0.1
"""How much earlier than the CLI's deadline the gate's own ends, as a part of it, so that the gate decides first."""
_LONGEST_HEAD_START_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all sessions of a gate work with."""

    tuning: Tuning
    client: Callable[[], httpx2.AsyncClient]
    """Asked for only where there is a deployment to speak to."""
    memory: Path | None
    """The folder that tells what modules are live."""


def opened(at: tuple[str, PlaceholderValue], terms: PushTerms, on_stage: OnStage, means: Means) -> Session:
    """Return a session *at* a URL, for the CLI that bears the placeholder."""
    deadline = Deadline(terms.deadline_s - min(_HEAD_START * terms.deadline_s, _LONGEST_HEAD_START_S))
    opening = Opening(*at, terms, on_stage, deadline)
    if terms.purpose == "check" or terms.reach is None:
        return CheckSession(opening)
    upstream = Upstream(means.client(), terms.reach, deadline, means.tuning)
    return PushSession(opening, upstream, means.tuning, ContentsMemory(means.memory, terms.reach.target.url))
