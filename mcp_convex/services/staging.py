"""What one run of the CLI was given: known once it is in place, and read while the CLI bundles it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Self

from mcp_convex.domain.ports import Staged
from mcp_convex.services.snapshots import Draft


class Staging:
    """The sources of one run, from the moment in which the sandbox has them in place; on leaving, none is read."""

    def __init__(self, draft: Callable[[Staged], Coroutine[Any, Any, Draft]]) -> None:
        """Have *draft* read them."""
        self.given: Staged | None = None
        """None until they are in place."""
        self._draft = draft
        self._reading: asyncio.Task[Draft] | None = None
        self._decided = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.give_up()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    def take(self, staged: Staged) -> None:
        """Know what is in place, and begin to read it, in place of what an earlier start was given."""
        if self._reading is not None:
            self._reading.cancel()
        self.given = staged
        self._reading = asyncio.create_task(self._draft(staged))
        self._decided.set()

    def give_up(self) -> None:
        """Have nobody wait any more for what is not in place by now."""
        self._decided.set()

    async def is_in_place(self) -> bool:
        """Say whether the sources are in place, as soon as they are, or never will be."""
        await self._decided.wait()
        return self.given is not None

    async def draft(self) -> Draft | None:
        """
        Return them as they were read; None where they never were in place.

        Raises:
            StaleBase: Something wrote while they were read.
            SandboxError: They could not be read.
        """
        return None if self._reading is None else await self._reading
