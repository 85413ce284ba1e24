"""No pages at all, where a page could not know its person: a link that anybody may open can be sent to a victim."""

from __future__ import annotations

from mcp_convex.domain.connections import PendingPage
from mcp_convex.domain.errors import CannotAsk
from mcp_convex.domain.ports import Pages


class NoPages(Pages):
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
