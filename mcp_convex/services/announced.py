"""Stores that announce each change to followers of `convex://connections`, whichever service or page made it."""

from __future__ import annotations

from mcp_convex.domain.connections import Connection, ConnectionId
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports import Announcements, ConnectionStore, Reach, TargetStore
from mcp_convex.domain.ports.announcing import CONNECTIONS
from mcp_convex.domain.secrets import AccessTokenValue


class AnnouncedConnections(ConnectionStore):
    """Connections whose changes are announced."""

    def __init__(self, store: ConnectionStore, announcements: Announcements) -> None:
        self._store = store
        self._announcements = announcements

    async def put(self, principal: PrincipalId, connection: Connection) -> None:
        await self._store.put(principal, connection)
        await self._announcements.updated(CONNECTIONS)

    async def list(self, principal: PrincipalId) -> tuple[Connection, ...]:
        return await self._store.list(principal)

    async def put_token(self, principal: PrincipalId, connection: Connection, token: AccessTokenValue) -> None:
        await self._store.put_token(principal, connection, token)
        await self._announcements.updated(CONNECTIONS)

    async def token(self, principal: PrincipalId, connection: ConnectionId) -> AccessTokenValue:
        return await self._store.token(principal, connection)

    async def delete(self, principal: PrincipalId, connection: ConnectionId) -> tuple[WorkspaceId, ...]:
        unlinked = await self._store.delete(principal, connection)
        await self._announcements.updated(CONNECTIONS)
        return unlinked


class AnnouncedTargets(TargetStore):
    """Targets whose changes are announced."""

    def __init__(self, store: TargetStore, announcements: Announcements) -> None:
        self._store = store
        self._announcements = announcements

    async def get(self, principal: PrincipalId, workspace: WorkspaceId) -> Reach | None:
        return await self._store.get(principal, workspace)

    async def put(
        self, principal: PrincipalId, workspace: WorkspaceId, reach: Reach, *, connection: ConnectionId | None = None
    ) -> None:
        await self._store.put(principal, workspace, reach, connection=connection)
        await self._announcements.updated(CONNECTIONS)

    async def delete(self, principal: PrincipalId, workspace: WorkspaceId) -> bool:
        was_linked = await self._store.delete(principal, workspace)
        await self._announcements.updated(CONNECTIONS)
        return was_linked
