"""Opening a page for the person: the one place that makes its handle and sets its time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from mcp_convex.domain.connections import PagePurpose, PendingPage
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports import Pages, PageStore

PAGE_LIFE = timedelta(minutes=10)


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
        Make a page that waits ten minutes for its person, once, and return the link to it.

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
            expires_at=opened_at + PAGE_LIFE,
        )
        link = await self._pages.link(page)
        await self._store.add(self._principal, page)
        return link
