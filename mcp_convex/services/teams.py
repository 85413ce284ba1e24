"""Which teams this principal's connections open, and which of them a call means."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mcp_convex.domain.connections import Connection, Project, Team
from mcp_convex.domain.errors import (
    ActionNotAllowed,
    ConvexMcpError,
    CredentialRejected,
    InvalidArguments,
    NotConnected,
)
from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports import ConnectionStore, ManagementApi
from mcp_convex.domain.secrets import AccessTokenValue


@dataclass(frozen=True, slots=True)
class OpenTeam:
    """A team, and the connection through which it opens."""

    team: Team
    connection: Connection
    token: AccessTokenValue = field(repr=False)

    @property
    def only(self) -> Project | None:
        """The one project that the connection opens; None where it opens the whole team."""
        return self.connection.project


class Teams:
    def __init__(self, api: ManagementApi, connections: ConnectionStore, principal: PrincipalId) -> None:
        self._api = api
        self._connections = connections
        self._principal = principal

    async def all(self, wanted: str | None = None) -> tuple[OpenTeam, ...]:
        """
        Return the teams that are open, or of these the one whose slug, name or id is *wanted*.

        Raises:
            NotConnected: There is no connection.
            InvalidArguments: No connection opens such a team.
        """
        connected = [one for one in await self._connections.list(self._principal) if one.state == "connected"]
        if not connected:
            raise NotConnected("There is no connection to Convex.", next_step="Call `connect`.")
        found = [opened for connection in connected for opened in await self._of(connection)]
        chosen = tuple(opened for opened in found if wanted is None or _is_called(opened.team, wanted))
        if not chosen:
            raise InvalidArguments(
                "No connection opens a team of that name.",
                next_step=f"Pass one of these as `team`: {_named(found)}. Or `connect` to another.",
            )
        return chosen

    async def to_create_in(self, wanted: str | None) -> OpenTeam:
        """
        Return the one team in which a project can be made.

        Raises:
            NotConnected: There is no connection.
            ActionNotAllowed: Each connection opens one project only.
            InvalidArguments: There are several, and *wanted* names none of them.
        """
        opened = await self.all(wanted)
        whole = [one for one in opened if one.only is None]
        if not whole:
            raise ActionNotAllowed(
                "This connection opens one project only, so no project can be made through it.",
                next_step="Call `link_project` for that project, or `connect` with the scope `team`.",
            )
        if len({one.team.id for one in whole}) > 1:
            raise InvalidArguments(
                "Several teams are connected.", next_step=f"Pass one of these as `team`: {_named(whole)}."
            )
        return whole[0]

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """Have each connection fail whose token Convex rejects by now, where it has rejected one inside the block."""
        try:
            yield
        except CredentialRejected:
            for connection in await self._connections.list(self._principal):
                if connection.state == "connected" and await self._is_rejected(connection):
                    await self._connections.put(self._principal, connection.model_copy(update=_rejected()))
            raise

    async def _is_rejected(self, connection: Connection) -> bool:
        try:
            await self._api.details(await self._connections.token(self._principal, connection.id))
        except CredentialRejected:
            return True
        except ConvexMcpError:
            pass  # nobody can tell
        return False

    async def _of(self, connection: Connection) -> list[OpenTeam]:
        token = await self._connections.token(self._principal, connection.id)
        return [OpenTeam(connection.team, connection, token)] if connection.team else []


def _rejected() -> dict[str, object]:
    reason = "Convex does not accept its token any more: it was revoked, or its member has left the team."
    return {"state": "failed", "reason": reason, "retryable": True, "ended_at": datetime.now(UTC)}


def _is_called(team: Team, wanted: str) -> bool:
    return wanted.casefold() in {team.slug.casefold(), team.name.casefold(), str(team.id)}


def _named(opened: Sequence[OpenTeam]) -> str:
    return ", ".join(sorted({f"`{one.team.slug}`" for one in opened}))
