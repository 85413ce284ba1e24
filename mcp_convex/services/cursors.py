"""Short cursors for agents. Convex's own are hundreds of characters long, and mean nothing for another table."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass

from mcp_convex.domain.errors import InvalidArguments

_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where reading goes on."""

    table: str
    newest_first: bool
    cursor: str


class Cursors:
    """Places under short random ids; of those beyond a bound, the longest unused go."""

    def __init__(self) -> None:
        self._places: OrderedDict[str, Place] = OrderedDict()

    def keep(self, place: Place) -> str:
        """Return an id for *place*."""
        short = secrets.token_urlsafe(6)
        self._places[short] = place
        if len(self._places) > _KEPT:
            self._places.popitem(last=False)
        return short

    def find(self, short: str, table: str, *, newest_first: bool) -> str:
        """
        Return the deployment's own cursor.

        Raises:
            InvalidArguments: *short* is unknown, or belongs to another table or order.
        """
        place = self._places.get(short)
        if place is None or (place.table, place.newest_first) != (table, newest_first):
            raise InvalidArguments(
                "That cursor is not one of this table, in this order, or it is too old.",
                next_step="Call `read_table` without a cursor to begin again.",
            )
        self._places.move_to_end(short)
        return place.cursor
