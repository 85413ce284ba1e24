"""The gate between the CLI and a deployment."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath

from mcp_convex.domain.models import ConvexFunction
from mcp_convex.domain.ports.checks import QueriedIndex
from mcp_convex.domain.ports.deployments import Reach
from mcp_convex.domain.ports.progress import OnStage
from mcp_convex.domain.pushes import GateVerdict, Purpose
from mcp_convex.domain.secrets import PlaceholderValue


@dataclass(frozen=True, slots=True)
class PushTerms:
    """What one run of the CLI may do, fixed before it starts."""

    purpose: Purpose
    reach: Reach | None
    """None for a check, which asks no deployment."""
    deadline_s: float
    consented: bool = False
    """Nobody needs to be asked: a person pushes themselves, or the deployment is for trying."""
    agreed: frozenset[str] = frozenset()
    """The messages of an earlier `needs_consent` that the person has said yes to; anything else is asked anew."""
    live_functions: Callable[[], Awaitable[tuple[ConvexFunction, ...] | None]] | None = None
    """Returns the live functions, so that the gate can say what a push adds and removes; None where nobody can tell."""
    root: PurePosixPath | None = None
    """The project's folder as the CLI sees it, for imports that are named by an absolute path."""
    linked: tuple[PurePosixPath, ...] = ()
    """The folders outside of it whose sources belong to it: those of the packages that it links to."""
    staged: Callable[[], Awaitable[bool]] | None = None
    """Awaited before the CLI is answered: True once it has the current sources, False where it is to be refused."""
    queried_indexes: Callable[[], Awaitable[frozenset[QueriedIndex]]] | None = None
    """Returns the indexes that the code asks for; called where the push drops some. None where nobody can tell."""
    origins: Callable[[], Awaitable[Mapping[str, str]]] | None = None
    """Tells, as far as it can, what the modules are made of that are pushed; else their bundled code tells."""
    types: Callable[[], Awaitable[bool]] | None = None
    """Says whether the types fit, once the CLI has generated its code. None where the CLI checks them itself."""


class GateSession(ABC):
    """One opening of the gate: one placeholder, one deployment, one run of the CLI."""

    url: str
    """Where the gate listens on this machine, such as `http://127.0.0.1:40123`."""
    placeholder: PlaceholderValue

    @abstractmethod
    async def settled(self) -> None:
        """Return when the gate has decided and the CLI has nothing more to add; it may then be ended."""

    @abstractmethod
    def verdict(self) -> GateVerdict:
        """Return what the gate has seen so far."""


class HeldSession(ABC):
    """An opening to come: a CLI that was started ahead waits at the gate with its placeholder."""

    url: str
    placeholder: PlaceholderValue

    @property
    @abstractmethod
    def is_waiting(self) -> bool:
        """Say whether it was neither opened nor dropped yet."""

    @abstractmethod
    def open(self, terms: PushTerms, on_stage: OnStage) -> AbstractAsyncContextManager[GateSession]:
        """Admit one run of the CLI under *terms*, once; on leaving, the placeholder opens nothing any more."""

    @abstractmethod
    def drop(self) -> None:
        """Turn away what waits: the CLI ends by itself."""


class Gate(ABC):
    """The broker between the CLI and Convex: the only way to a deployment for what runs in a sandbox."""

    @abstractmethod
    async def hold(self) -> HeldSession:
        """Return an opening to come. It is dropped where too many wait, it waits too long, or memory is short."""
