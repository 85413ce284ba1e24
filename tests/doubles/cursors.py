"""Places in lists, kept in memory."""

from __future__ import annotations

from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports.cursors import CursorStore
from mcp_convex.services.cursors import Cursors


class FakeCursorStore(CursorStore):
    def __init__(self) -> None:
        self._places: list[str] = []

    async def keep(self, principal: PrincipalId, workspace: WorkspaceId, place: str) -> str:
        self._places.append(place)
        return str(len(self._places) - 1)

    async def find(self, principal: PrincipalId, workspace: WorkspaceId, short: str) -> str | None:
        return dict(zip(map(str, range(len(self._places))), self._places, strict=True)).get(short)


def cursors() -> Cursors:
    return Cursors(FakeCursorStore(), owner=(PrincipalId("p"), WorkspaceId("w")))
