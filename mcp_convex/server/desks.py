"""The pages of the hosted shape: whose desk a browser comes to."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports import Pages
from mcp_convex.server.households import Households
from mcp_convex.server.place import name_of
from mcp_convex.server.wiring import desk_of
from mcp_convex.settings import Settings
from mcp_convex.store.store import Store
from mcp_convex.web.desk import Desk, Desks
from mcp_convex.web.hosted_pages import HostedPages, NoPages
from mcp_convex.web.seals import Seal
from mcp_convex.web.signed_in import KnownPerson


class HostedDesks(Desks):
    """Desks over the households."""

    def __init__(self, households: Households, store: Store) -> None:
        self._households = households
        self._store = store

    @asynccontextmanager
    async def at(self, visitor: PrincipalId, workspace: str) -> AsyncGenerator[Desk]:
        async with self._households.of(visitor, workspace) as opened:
            yield desk_of(await opened.get(), KnownPerson(visitor))

    async def whose(self, handle: str) -> tuple[PrincipalId, str]:
        principal, page = await self._store.pages.find(handle)
        return principal, name_of(page.workspace)


def make_seal(settings: Settings) -> Seal:
    """Return what seals for browsers: by the keys that several servers share, or by one of this process alone."""
    return Seal(settings.derived_keys(b"pages") or [secrets.token_bytes(32)])


def make_pages(settings: Settings, seal: Seal) -> Pages:
    """Return the pages, at the public origin where they can know their person."""
    return NoPages() if settings.pages_origin is None else HostedPages(settings.pages_origin, seal)
