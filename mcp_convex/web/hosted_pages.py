"""Where pages are in the hosted shape: at the public origin, or nowhere, where a page could not know its person."""

from __future__ import annotations

from typing import Final

from mcp_convex.domain.connections import PendingPage
from mcp_convex.domain.errors import CannotAsk
from mcp_convex.domain.ports import Pages
from mcp_convex.services.pages import TICKET_LIFE
from mcp_convex.web.seals import Seal

TICKET: Final = "ticket"


class HostedPages(Pages):
    """Pages at the server's own public origin."""

    def __init__(self, origin: str, seal: Seal) -> None:
        self._origin = origin
        self._seal = seal

    async def link(self, page: PendingPage) -> str:
        if page.purpose == "ticket":
            ticket = self._seal.close(TICKET, int(TICKET_LIFE.total_seconds()), handle=page.handle)
            return f"{self._origin}/convex/connect?{TICKET}={ticket}"
        return f"{self._origin}/convex/pages/{page.handle}"

    @property
    def callback_url(self) -> str:
        return f"{self._origin}/convex/callback"


class NoPages(Pages):
    """A link that anybody may open can be sent to a victim: so there is none."""

    async def link(self, page: PendingPage) -> str:
        """
        Refuse.

        Raises:
            CannotAsk: Always.
        """
        del page
        raise CannotAsk(
            "This server has no pages on which a person could consent or type a secret.",
            next_step="Go on with the embedded deployment, and with env vars that are not secret.",
        )

    @property
    def callback_url(self) -> str:
        return ""
