"""Short cursors for agents. Convex's own are hundreds of characters long, and mean nothing for another table."""

from __future__ import annotations

import re

from mcp_convex.domain.errors import InvalidArguments
from mcp_convex.domain.models import Model, PrincipalId, WorkspaceId
from mcp_convex.domain.ports.cursors import CursorStore

_SHORT = re.compile(r"[A-Za-z0-9_-]{1,32}")


class Place(Model):
    """Where reading goes on."""

    table: str
    newest_first: bool
    cursor: str


class Cursors:
    """Places of one workspace, under short ids."""

    def __init__(self, store: CursorStore, *, owner: tuple[PrincipalId, WorkspaceId]) -> None:
        self._store = store
        self._owner = owner

    async def keep(self, place: Place) -> str:
        """Return an id for *place*."""
        return await self._store.keep(*self._owner, place.model_dump_json())

    async def find(self, short: str, table: str, *, newest_first: bool) -> str:
        """
        Return the deployment's own cursor.

        Raises:
            InvalidArguments: *short* is unknown, or belongs to another table or order.
        """
        kept = await self._store.find(*self._owner, short) if _SHORT.fullmatch(short) else None
        place = None if kept is None else Place.model_validate_json(kept)
        if place is None or (place.table, place.newest_first) != (table, newest_first):
            raise InvalidArguments(
                "That cursor is too old, or belongs to another table or order.",
                next_step="Call `read_table` without a cursor to start over.",
            )
        return place.cursor
