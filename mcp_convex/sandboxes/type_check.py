"""The type check beside a push: the workspace's own compiler, on a copy of the sources that no command writes in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self, TypeVar

import anyio.to_thread

from mcp_convex.domain.errors import SandboxError
from mcp_convex.domain.ports import Ended, TypeCheck
from mcp_convex.sandboxes.stage import Stage

T = TypeVar("T")


class CompilerBeside(TypeCheck):
    """
    Begins while the CLI bundles, on what the CLI generated the last time.

    That is what it generates this time, unless modules, components or env vars came or went. Only where its inputs
    were those to the byte does the answer count; otherwise the compiler runs where the CLI would have run it.
    """

    def __init__(
        self,
        stage_of_cli: Callable[[], Stage],
        sync_own: Callable[[], Coroutine[Any, Any, Stage]],
        compile_in: Callable[[Stage], Coroutine[Any, Any, Ended | None]],
    ) -> None:
        """
        Check what the CLI leaves in its stage.

        Args:
            stage_of_cli: Returns that.
            sync_own: Returns a stage that no command writes in, holding what the workspace holds now.
            compile_in: Runs the compiler in a stage; returns None where there is none to run.
        """
        self._stage_of_cli = stage_of_cli
        self._sync_own = sync_own
        self._compile_in = compile_in
        self._tasks: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Self:
        self._own = self._started(self._sync_own())
        self._early = self._started(self._compile_early())
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def ended(self) -> Ended | None:
        confirmed = self._started(self._confirmed())
        await asyncio.wait([confirmed])  # on leaving it is cancelled, and who asked is not
        return Ended(exit_code=None, output="") if confirmed.cancelled() else confirmed.result()

    async def _compile_early(self) -> Ended | None:
        return await self._compile_in(await asyncio.shield(self._own))

    async def _confirmed(self) -> Ended | None:
        stage = self._stage_of_cli()
        with suppress(SandboxError):  # what is wrong with a copy need not be wrong with the other
            if await anyio.to_thread.run_sync(stage.is_as_synced_to, await self._own):
                return await self._early
        self._early.cancel()
        return await self._compile_in(stage)

    def _started(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task
