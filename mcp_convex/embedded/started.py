"""The pushes that have started and may still finish, and which of them lost a race."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mcp_convex.embedded.push import Push
from mcp_convex.embedded.refusals import bad_request

_KEPT = 4


class StartedPushes:
    """The latest pushes by id; of two with different schemas, the later one wins."""

    def __init__(self) -> None:
        self._pushes: dict[str, Push] = {}
        self._claimed: dict[str, Any] = {}

    def add(self, push: Push) -> None:
        """Keep *push*; the oldest beyond a bound goes."""
        self._pushes[push.id] = push
        while len(self._pushes) > _KEPT:
            self._pushes.pop(next(iter(self._pushes)))

    def get(self, push_id: str) -> Push:
        """
        Return a push that has started.

        Raises:
            Refusal: It is not known any more.
        """
        if push_id not in self._pushes:
            raise bad_request("RaceDetected", "This push was overtaken by others. Push again.")
        return self._pushes[push_id]

    def finished(self, push: Push) -> None:
        """Forget *push*."""
        self._pushes.pop(push.id, None)

    def claim_schema(self, push: Push) -> None:
        """Let *push*'s schema be the one that is being pushed; an earlier push with another is overtaken."""
        self._claimed = push.schemas

    def overtaken(self, push: Push) -> bool:
        """Whether a later push has brought another schema."""
        return self._claimed != push.schemas

    def all(self) -> Iterable[Push]:
        """Return every push that is kept."""
        return self._pushes.values()
