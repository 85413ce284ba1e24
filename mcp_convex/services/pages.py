"""Opening a page for the person: the one place that makes its handle and sets its time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from mcp_convex.domain.connections import PagePurpose, PendingPage
from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports import Pages, PageStore
from mcp_convex.services.errands import Opened

PAGE_LIFE = timedelta(minutes=10)
TICKET_LIFE = timedelta(minutes=2)


def utc_now() -> datetime:
    return datetime.now(UTC)


class PageService:
    """Pages of one principal over one workspace."""

    def __init__(
        self,
        store: PageStore,
        pages: Pages,
        *,
        owner: tuple[PrincipalId, WorkspaceId],
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._pages = pages
        self._principal, self._workspace = owner
        self._now = now

    async def open(self, purpose: PagePurpose, subject: Mapping[str, str]) -> str:
        """
        Make a page as `opened` does, and return the link to it.

        Raises:
            PortInUse: The port that pages are served on is taken. Nothing was stored.
        """
        return (await self.opened(purpose, subject)).link

    async def opened(self, purpose: PagePurpose, subject: Mapping[str, str]) -> Opened:
        """
        Make a page that waits ten minutes for its person (a ticket two), once; it is known by its handle.

        Raises:
            PortInUse: The port that pages are served on is taken. Nothing was stored.
        """
        opened_at = self._now()
        page = PendingPage(
            handle=secrets.token_urlsafe(32),
            purpose=purpose,
            workspace=self._workspace,
            subject=dict(subject),
            created_at=opened_at,
            expires_at=opened_at + (TICKET_LIFE if purpose == "ticket" else PAGE_LIFE),
        )
        link = await self._pages.link(page)
        await self._store.add(self._principal, page)
        return Opened(id=page.handle, link=link, expires_at=page.expires_at)

    async def waits(self, handle: str) -> bool:
        """Say whether the page still waits for its person: it is neither used nor expired."""
        try:
            principal, _ = await self._store.find(handle)
        except NotFound:
            return False
        return principal == self._principal

    async def close(self, handle: str) -> None:
        """Have the page wait no longer."""
        if await self.waits(handle):
            with suppress(NotFound):
                await self._store.take(handle)

    async def find(self, handle: str, visitor: PrincipalId) -> PendingPage:
        """
        Return the page, without using it up.

        Raises:
            NotFound: It does not exist, is used, has expired, or is not this visitor's or this workspace's.
        """
        whose, page = await self._store.find(handle)
        if (whose, page.workspace) != (visitor, self._workspace) or page.purpose == "ticket":
            raise NotFound("The page is for somebody else.", next_step="Ask for a new link.")
        return page

    async def ticket_to(self, link: str) -> Opened:
        """Make a ticket: for two minutes its link lets one browser in as this principal's, and leads on to *link*."""
        return await self.opened("ticket", {"link": link})

    async def redeem(self, handle: str) -> str:
        """
        Use a ticket of this principal's up, and return where it leads.

        Raises:
            NotFound: It does not exist, is used, or has expired.
        """
        whose, page = await self._store.take(handle)
        if whose != self._principal or page.purpose != "ticket":
            raise NotFound("There is no such ticket.", next_step="Ask for a new link.")
        return page.subject["link"]

    async def take(self, handle: str, visitor: PrincipalId) -> PendingPage:
        """
        Use the page up and return it: a second caller finds nothing.

        Raises:
            NotFound: As `find` says. Another's page is not used up.
        """
        await self.find(handle, visitor)
        return (await self._store.take(handle))[1]
