"""A principal's connections to Convex as an agent sees them: asked for, looked at, given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
from pydantic import Field

from mcp_convex.domain.connections import Connection, ConnectionId, Scope
from mcp_convex.domain.errors import ConvexMcpError, InvalidArguments, NotConnected
from mcp_convex.domain.models import Model, PrincipalId, Target, WorkspaceId
from mcp_convex.domain.ports import ConnectionStore, ManagementApi
from mcp_convex.services.errands import Awaited, Errand, Opened, wait_while
from mcp_convex.services.grants import DECLINED, new_connection_id
from mcp_convex.services.pages import PAGE_LIFE, PageService, utc_now
from mcp_convex.services.targets import TargetService

SLOW_AFTER = timedelta(seconds=15)
"""After it, connecting is called slow. It is never given up for that."""

_REVOKE_S = 10.0
_LONGEST_NAME = 60


class Connecting(Awaited):
    """What came of asking the person to connect, so far."""

    connection: Connection | None = Field(
        default=None, description="None where the person linked one deployment by its key instead."
    )


class Connections(Model):
    """Every connection of this principal, and the deployment that this workspace is linked to."""

    connections: tuple[Connection, ...]
    target: Target | None = Field(description="None while the embedded deployment on this machine serves.")
    next_step: str


class Disconnected(Model):
    """A connection that is no more."""

    connection: Connection
    revoked: bool = Field(description="Whether Convex itself has forgotten the grant, too.")
    unlinked: tuple[WorkspaceId, ...] = Field(description="Workspaces whose deployment came through it.")
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPorts:
    """What connections need of the outside."""

    store: ConnectionStore
    api: ManagementApi


class ConnectionService:
    def __init__(
        self,
        ports: ConnectionPorts,
        pages: PageService,
        targets: TargetService,
        *,
        owner: PrincipalId,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._ports = ports
        self._pages = pages
        self._targets = targets
        self._principal = owner
        self._now = now

    def connecting(self, scope: Scope, *, asked_by: str) -> Errand[Connecting]:
        """Return the errand of connecting with *scope*; *asked_by* is what the client calls itself."""
        return Errand(
            why=f"Open a page of mcp-convex to connect your Convex account ({scope} access).",
            begin=lambda: self._begin(scope, asked_by),
            outcome=self._outcome,
            declined=self._declined,
        )

    async def look(self) -> Connections:
        """Return every connection as it stands."""
        connections = await self._all()
        target = await self._targets.linked()
        return Connections(connections=connections, target=target, next_step=self._advice(connections, target))

    async def disconnect(self, wanted: ConnectionId | None) -> Disconnected:
        """
        Delete a connection with all that came through it, and revoke it at Convex where that can be done.

        Raises:
            NotConnected: There is none.
            InvalidArguments: There are several and *wanted* is None, or none has that id.
        """
        connection = _chosen(await self._all(), wanted)
        revoked = await self._revoke(connection)
        unlinked = await self._ports.store.delete(self._principal, connection.id)
        return Disconnected(
            connection=connection.model_copy(update={"state": "disconnected", "ended_at": self._now()}),
            revoked=revoked,
            unlinked=unlinked,
            next_step=_left_by_hand(connection, revoked=revoked),
        )

    async def _begin(self, scope: Scope, asked_by: str) -> Opened:
        connection = await self._fresh(scope)
        subject = {"connection": connection.id, "asked_by": asked_by[:_LONGEST_NAME]}
        page = await self._pages.opened("connect", subject)
        await self._ports.store.put(self._principal, connection)
        return Opened(id=connection.id, link=page.link, expires_at=page.expires_at)

    async def _fresh(self, scope: Scope) -> Connection:
        """Return the connection that is asked for: the one already under way for *scope*, else a new one."""
        for known in await self._all():
            if known.scope == scope and known.state == "failed" and known.team is None:
                # One that stood once is taken up again when its team is connected anew, with what came through it.
                await self._ports.store.delete(self._principal, known.id)
            if known.scope == scope and known.state == "connecting":
                return known.model_copy(update={"started_at": self._now()})
        return Connection(
            id=new_connection_id(), scope=scope, grant="oauth", state="connecting", started_at=self._now()
        )

    async def _outcome(self, id_: str, wait_s: float) -> Connecting:
        async def is_waiting() -> bool:
            return _is_connecting(await self._find(id_))

        await wait_while(is_waiting, wait_s)
        found = await self._find(id_)
        return Connecting(waiting=_is_connecting(found), connection=found, next_step=self._said_of(found))

    async def _declined(self, id_: str) -> None:
        found = await self._find(id_)
        if found is not None and _is_connecting(found):
            update = {"state": "failed", "reason": DECLINED, "retryable": True, "ended_at": self._now()}
            await self._ports.store.put(self._principal, found.model_copy(update=update))

    async def _find(self, id_: str) -> Connection | None:
        return next((connection for connection in await self._all() if connection.id == id_), None)

    async def _all(self) -> tuple[Connection, ...]:
        return tuple(self._aged(connection) for connection in await self._ports.store.list(self._principal))

    def _aged(self, connection: Connection) -> Connection:
        # Only shown, never stored: the person may still come back, and is let in then.
        if connection.state != "connecting" or self._now() - connection.started_at < PAGE_LIFE:
            return connection
        reason = "Nobody finished connecting within ten minutes."
        return connection.model_copy(update={"state": "failed", "reason": reason, "retryable": True})

    async def _revoke(self, connection: Connection) -> bool:
        # What the person brought along may serve elsewhere; only what was granted to this server is its to revoke.
        if connection.grant != "oauth" or connection.state != "connected":
            return False
        with anyio.move_on_after(_REVOKE_S):
            try:
                token = await self._ports.store.token(self._principal, connection.id)
                return await self._ports.api.revoke(token)
            except ConvexMcpError:
                return False
        return False

    def _advice(self, connections: tuple[Connection, ...], target: Target | None) -> str:
        if not connections:
            serves = f"`{target.name}`" if target else "the embedded deployment on this machine"
            return f"This workspace works with {serves}. Call `connect` to use the person's Convex account."
        if target and connections[0].state == "connected":
            return f"Write functions and `push` to `{target.name}`, or call `link_project` for another deployment."
        return self._said_of(connections[0])

    def _said_of(self, connection: Connection | None) -> str:
        match connection:
            case None:
                return "Call `get_connection`: the person chose another way, or disconnected."
            case Connection(state="connected"):
                return "Call `create_project`, or `list_projects` and `link_project` for one that exists."
            case Connection(state="connecting", started_at=started) if self._now() - started < SLOW_AFTER:
                return "Wait for the person, then call `get_connection`."
            case Connection(state="connecting"):
                return (
                    "This is slow, but not given up: the person may still be on the page, or Convex may have told them"
                    " there why it refuses, such as that the operator's application is not verified. Ask them, call"
                    " `get_connection` again, and call `connect` only if they need a new link."
                )
            case Connection(retryable=True):
                return "Ask the person whether to try again; if so, call `connect`."
            case _:
                return "Tell the person why it failed. Connecting again will not help before that is mended."


def _is_connecting(connection: Connection | None) -> bool:
    return connection is not None and connection.state == "connecting"


def _chosen(connections: tuple[Connection, ...], wanted: ConnectionId | None) -> Connection:
    named = [connection for connection in connections if wanted in {None, connection.id}]
    if not connections:
        raise NotConnected(
            "There is no connection to Convex.", next_step="Tell the person that there is nothing to disconnect."
        )
    if len(named) == 1:
        return named[0]
    raise InvalidArguments(
        "There are several connections." if named else "There is no connection with that id.",
        next_step="Call `get_connection`, and pass the `id` of one.",
    )


def _left_by_hand(connection: Connection, *, revoked: bool) -> str:
    if revoked or connection.state != "connected":
        return "Nothing remains to be done."
    match connection.grant:
        case "oauth":
            return (
                "The token is deleted here, but Convex still knows the grant. Tell the person to revoke it: Convex"
                " dashboard, Team Settings, Authorized applications."
            )
        case "team_token":
            return (
                "The token is deleted here and still valid at Convex. Tell the person to delete it there if nothing"
                " else uses it: Convex dashboard, Team Settings, Access tokens."
            )
        case "cli_login":
            return (
                "The copy of the login is deleted here. The Convex CLI stays logged in: `npx convex logout` ends that."
            )
