"""Opens again, when a server starts, the workspaces whose dev server an earlier one has left on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.ports import DevServerStore
from mcp_convex.server.households import Households
from mcp_convex.server.place import is_served, name_of

logger = logging.getLogger(__name__)


@asynccontextmanager
async def reopened(households: Households, store: DevServerStore) -> AsyncGenerator[None]:
    """Open them one after the other while the block runs."""
    reopening = asyncio.create_task(_reopen(households, store))
    try:
        yield
    finally:
        reopening.cancel()
        with suppress(asyncio.CancelledError):
            await reopening


async def _reopen(households: Households, store: DevServerStore) -> None:
    try:
        left_on = await store.on()
    except ConvexMcpError as exc:  # the next call of each opens it
        logger.warning("dev servers that were left on are not known: %s", exc.code)
        return
    for principal, workspace in left_on:
        if not is_served(principal, workspace):  # a store may have served a person at their own machine before
            continue
        try:
            async with households.of(principal, name_of(workspace)) as services:
                await services.get()
        except ConvexMcpError as exc:  # its next call opens it, or says why not
            logger.warning("a workspace with a dev server was not opened: %s", exc.code)
