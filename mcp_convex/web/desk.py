"""What the pages work with, apart from how they are served: building it imports no web framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from pydantic import SecretStr

from mcp_convex.domain.connections import PendingPage
from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports import PagePerson
from mcp_convex.services.connections import ConnectionService
from mcp_convex.services.grants import GrantService
from mcp_convex.services.pages import PageService

SetSecret = Callable[[PrincipalId, PendingPage, SecretStr], Awaitable[object]]
"""Takes what the person typed on a page that asked for an env var."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The services behind the pages, and how they know their person."""

    pages: PageService
    grants: GrantService
    connections: ConnectionService
    set_secret: SetSecret
    person: PagePerson


class Desks(ABC):
    """The desks of all principals."""

    @abstractmethod
    def at(self, visitor: PrincipalId, workspace: str) -> AbstractAsyncContextManager[Desk]:
        """Open the desk for a principal at the workspace that they call so."""

    @abstractmethod
    async def whose(self, handle: str) -> tuple[PrincipalId, str]:
        """
        Return whose page that is, and what they call its workspace.

        Raises:
            NotFound: It does not exist, is used, or has expired.
        """
