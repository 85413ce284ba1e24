"""The host's copy of a workspace's files, for sandboxes that may vanish."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcp_convex.domain.models import FileEntry, FilePath, PrincipalId, WorkspaceId


@dataclass(frozen=True, slots=True)
class JournalState:
    """What the host's copy holds."""

    version: int
    """Grows with every write that a sandbox has yet to be told of."""
    files: Mapping[FilePath, FileEntry]
    deleted: frozenset[FilePath]
    """What was there once; a sandbox that missed it may still hold it."""


class FileJournal(ABC):
    """Every write to a workspace, kept before it is applied: this copy is the truth, and a sandbox only mirrors it."""

    @abstractmethod
    async def tag(self, principal: PrincipalId, workspace: WorkspaceId) -> str:
        """Return the random name under which the workspace's sandboxes are known outside, made at first use."""

    @abstractmethod
    async def state(self, principal: PrincipalId, workspace: WorkspaceId) -> JournalState:
        """Return what the copy holds, without the contents."""

    @abstractmethod
    async def contents(
        self, principal: PrincipalId, workspace: WorkspaceId, paths: Iterable[FilePath]
    ) -> Mapping[FilePath, bytes]:
        """Return the contents of those *paths* that the copy holds."""

    @abstractmethod
    async def record(
        self, principal: PrincipalId, workspace: WorkspaceId, changes: Mapping[FilePath, bytes | None]
    ) -> int:
        """Keep writes that are about to be applied, None for a deletion, and return the version that they make."""

    @abstractmethod
    async def record_found(
        self, principal: PrincipalId, workspace: WorkspaceId, changes: Mapping[FilePath, bytes | None], *, version: int
    ) -> bool:
        """Keep what the sandbox holds already, and say so; not if the copy is at another *version* by now."""
