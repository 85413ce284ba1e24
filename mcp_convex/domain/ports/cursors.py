"""Where long lists are read on, kept under short ids."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mcp_convex.domain.models import PrincipalId, WorkspaceId


class CursorStore(ABC):
    """Places in lists, for an hour. Whichever server an agent meets next finds them."""

    @abstractmethod
    async def keep(self, principal: PrincipalId, workspace: WorkspaceId, place: str) -> str:
        """Return a short id for *place*."""

    @abstractmethod
    async def find(self, principal: PrincipalId, workspace: WorkspaceId, short: str) -> str | None:
        """Return the place with that id; None where this workspace has none."""
