"""Handing the operator what the store keeps of everybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from mcp_convex.domain.models import PrincipalId
from mcp_convex.server.adapters import open_the_store
from mcp_convex.settings import Settings


async def export_audit(
    settings: Settings, write: Callable[[str], object], *, since: datetime | None, principal: str | None
) -> None:
    """
    Write the audit's events, oldest first, as a line of JSON each, while servers go on.

    Raises:
        ConvexMcpError: The store cannot be read.
    """
    wanted = None if principal is None else PrincipalId(principal)
    async with open_the_store(settings) as store:
        async for whose, event in store.audit.all(since=since, principal=wanted):
            write(json.dumps({"principal": whose, **event.model_dump(mode="json")}, ensure_ascii=False) + "\n")
