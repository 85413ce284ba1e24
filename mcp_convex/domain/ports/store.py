"""What outlives the process: targets, leases, pushes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from mcp_convex.domain.connections import ConnectionId
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports.deployments import Reach
from mcp_convex.domain.pushes import PushRecord
from mcp_convex.domain.snapshots import NewSnapshot


class TargetStore(ABC):
    """The deployment that a workspace was linked to, and its admin key, encrypted."""

    @abstractmethod
    async def get(self, principal: PrincipalId, workspace: WorkspaceId) -> Reach | None:
        """Return the workspace's target, or None where it was never linked (the embedded one serves then)."""

    @abstractmethod
    async def put(
        self, principal: PrincipalId, workspace: WorkspaceId, reach: Reach, *, connection: ConnectionId | None = None
    ) -> None:
        """Link the workspace, replacing what was there; through *connection*, or by a key of the person's own."""

    @abstractmethod
    async def delete(self, principal: PrincipalId, workspace: WorkspaceId) -> bool:
        """Unlink the workspace and delete its key; say whether there was one."""


class LeaseStore(ABC):
    """At most one holder of a name at a time, across processes; a dead holder's lease expires."""

    @abstractmethod
    def hold(self, *names: str, ttl_s: float) -> AbstractAsyncContextManager[None]:
        """
        Hold all *names* until the block ends, renewing them while the block runs.

        Raises:
            PushUnderWay: Another holds one of them; then none is held.
        """


class PushStore(ABC):
    """What came of each push."""

    @abstractmethod
    async def add(self, principal: PrincipalId, record: PushRecord, new: NewSnapshot | None = None) -> None:
        """Keep *record*, and the snapshot of what it made live, both or neither; the oldest beyond a bound go."""

    @abstractmethod
    async def get(self, principal: PrincipalId, push_id: str) -> PushRecord:
        """
        Return one push.

        Raises:
            NotFound: This principal has no push with that id.
        """

    @abstractmethod
    def latest(self, principal: PrincipalId, workspace: WorkspaceId) -> AsyncIterator[PushRecord]:
        """Yield the workspace's pushes, newest first."""
