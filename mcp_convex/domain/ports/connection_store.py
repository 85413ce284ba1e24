"""What outlives the process of connections: tokens, pages under way, provisioning runs, the audit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from datetime import datetime

from mcp_convex.domain.audit import AuditEvent
from mcp_convex.domain.connections import Connection, ConnectionId, OAuthFlow, PendingPage, ProvisioningRun
from mcp_convex.domain.models import Arguments, PrincipalId, WorkspaceId
from mcp_convex.domain.secrets import AccessTokenValue, VerifierValue


class ConnectionStore(ABC):
    """Connections and their tokens, encrypted; each is read by (principal, id) only."""

    @abstractmethod
    async def put(self, principal: PrincipalId, connection: Connection) -> None:
        """Add *connection*, or replace the one with its id."""

    @abstractmethod
    async def list(self, principal: PrincipalId) -> tuple[Connection, ...]:
        """Return the principal's connections, newest first."""

    @abstractmethod
    async def put_token(self, principal: PrincipalId, connection: Connection, token: AccessTokenValue) -> None:
        """Add or replace *connection* together with its token, in one transaction."""

    @abstractmethod
    async def token(self, principal: PrincipalId, connection: ConnectionId) -> AccessTokenValue:
        """
        Return a connection's token.

        Raises:
            NotConnected: There is none.
        """

    @abstractmethod
    async def delete(self, principal: PrincipalId, connection: ConnectionId) -> tuple[WorkspaceId, ...]:
        """Delete the connection, its token, its flows and the targets that came through it; return their workspaces."""


class PageStore(ABC):
    """Pages that wait, and OAuth flows under way. A handle is single use: whoever takes it first has it."""

    @abstractmethod
    async def add(self, principal: PrincipalId, page: PendingPage) -> None:
        """Keep *page*; expired ones go."""

    @abstractmethod
    async def find(self, handle: str) -> tuple[PrincipalId, PendingPage]:
        """
        Return the page and whose it is, without using it up.

        Raises:
            NotFound: It does not exist, is used, or has expired.
        """

    @abstractmethod
    async def take(self, handle: str) -> tuple[PrincipalId, PendingPage]:
        """
        Use the page up and return it.

        Raises:
            NotFound: It does not exist, is used, or has expired.
        """

    @abstractmethod
    async def add_flow(self, principal: PrincipalId, flow: OAuthFlow, verifier: VerifierValue) -> None:
        """Keep *flow*; expired ones go."""

    @abstractmethod
    async def take_flow(self, state: str) -> tuple[PrincipalId, OAuthFlow, VerifierValue]:
        """
        Use the flow up and return it.

        Raises:
            NotFound: It does not exist, is used, or has expired.
        """


class ProvisioningStore(ABC):
    """Runs of the provisioning, one open at most for a workspace and a project name."""

    @abstractmethod
    async def put(self, principal: PrincipalId, run: ProvisioningRun) -> None:
        """Record *run* as it is now."""

    @abstractmethod
    async def open_run(self, principal: PrincipalId, workspace: WorkspaceId, name: str) -> ProvisioningRun | None:
        """Return the run for *name* that has not reached its end, if there is one."""


class AuditStore(ABC):
    """What was done, by whom and when. No event holds a value."""

    @abstractmethod
    def digest(self, arguments: Arguments) -> str:
        """Return the digest by which an event knows *arguments*; the same until the keys are rotated."""

    @abstractmethod
    async def add(self, principal: PrincipalId, event: AuditEvent) -> None:
        """Keep *event*, once however often it is added; those beyond a certain age go."""

    @abstractmethod
    async def latest(self, principal: PrincipalId, *, limit: int) -> tuple[AuditEvent, ...]:
        """Return the principal's events, newest first, *limit* at most."""

    @abstractmethod
    def all(
        self, *, since: datetime | None, principal: PrincipalId | None
    ) -> AsyncIterator[tuple[PrincipalId, AuditEvent]]:
        """Yield everybody's events, or one principal's, from *since* on, in the order in which they were kept."""
