"""Where snapshots of a workspace's files are kept."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Mapping

from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.snapshots import NewSnapshot, Snapshot


class SnapshotStore(ABC):
    """Snapshots, and each content that one of them holds, once a workspace, by its SHA-256."""

    @abstractmethod
    async def add(self, principal: PrincipalId, new: NewSnapshot) -> None:
        """Keep *new*, whose contents are those that `missing` named; the oldest beyond a bound go."""

    @abstractmethod
    async def missing(self, principal: PrincipalId, workspace: WorkspaceId, digests: Collection[str]) -> frozenset[str]:
        """Return those *digests* whose content is not kept yet."""

    @abstractmethod
    async def contents(
        self, principal: PrincipalId, workspace: WorkspaceId, digests: Collection[str]
    ) -> Mapping[str, bytes]:
        """Return those contents that are kept, by their digest."""

    @abstractmethod
    def latest(self, principal: PrincipalId, workspace: WorkspaceId) -> AsyncIterator[Snapshot]:
        """Yield the workspace's snapshots, newest first."""
