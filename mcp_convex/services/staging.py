"""What one run of the CLI was given: known once it is in place, and read while the CLI bundles it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Self

from mcp_convex.domain.ports import Staged
from mcp_convex.services.snapshots import Draft


class Staging:
    """The sources of one run, from when the sandbox has them in place; leaving the block stops reading them."""

    def __init__(
        self,
        draft: Callable[[Staged], Coroutine[Any, Any, Draft]],
        origins: Callable[[Staged], Coroutine[Any, Any, Mapping[str, str]]],
    ) -> None:
        """Have *draft* read them, and *origins* tell what modules are made of."""
        self.given: Staged | None = None
        """None until they are in place."""
        self._draft = draft
        self._origins = origins
        self._reading: asyncio.Task[Draft] | None = None
        self._telling: asyncio.Task[Mapping[str, str]] | None = None
        self._decided = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.give_up()
        await asyncio.gather(*self._cancelled(), return_exceptions=True)

    def take(self, staged: Staged) -> None:
        """Know what is in place, and begin to read it, in place of what an earlier start was given."""
        self._cancelled()
        self.given = staged
        self._reading = asyncio.create_task(self._draft(staged))
        self._telling = asyncio.create_task(self._origins(staged))
        self._decided.set()

    def _cancelled(self) -> list[asyncio.Task[Any]]:
        tasks = [task for task in (self._reading, self._telling) if task is not None]
        for task in tasks:
            task.cancel()
        return tasks

    def give_up(self) -> None:
        """Wait no longer for sources that are not in place by now."""
        self._decided.set()

    async def is_in_place(self) -> bool:
        """Say whether the sources are in place, as soon as they are, or never will be."""
        await self._decided.wait()
        return self.given is not None

    async def origins(self) -> Mapping[str, str]:
        """Return what the modules are made of that the CLI bundles, as far as that can be told."""
        if (telling := self._telling) is None:
            return {}
        await asyncio.wait([telling])  # a caller that is cancelled leaves it to the next
        return {} if telling.cancelled() else telling.result()

    async def draft(self) -> Draft | None:
        """
        Return the sources as they were read; None where they never were in place.

        Raises:
            StaleBase: Something wrote while they were read.
            SandboxError: They could not be read.
        """
        return None if self._reading is None else await self._reading
