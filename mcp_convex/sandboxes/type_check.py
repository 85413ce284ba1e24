"""The type check beside a push: the workspace's own compiler, on a copy of the sources that no command writes in."""

from __future__ import annotations

import asyncio
import math
import os
import platform
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import anyio.to_thread

from mcp_convex.domain.errors import SandboxError
from mcp_convex.domain.ports import Command, Ended, TypeCheck
from mcp_convex.sandboxes.packages import PackageJson
from mcp_convex.sandboxes.stage import Stage

T = TypeVar("T")

_ENV = {"CI": "1", "GOGC": "400"}
"""A compiler ends before collecting what it made would pay: in Go, a quarter of its processor time."""

_NATIVE = 7
"""The first version of TypeScript that is a program of its own, which checks in several threads."""
_THREADS = 4
"""As many as it takes unless it is told."""
_ARCHITECTURES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64"}
"""In Node's words."""


class Compile(Protocol):
    """Runs the compiler in a stage, beside something else or alone; returns None where there is none to run."""

    def __call__(self, stage: Stage, *, beside: bool) -> Coroutine[Any, Any, Ended | None]: ...


def compilation(node: Path, compiler: Path, functions: str, *, beside: bool) -> Command:
    """Return what the CLI runs to check *functions*; *beside* it with fewer processors."""
    package = PackageJson.read(compiler.parents[1] / "package.json")
    native = _is_native(package)
    program = _started_by(compiler, package) if native else None
    as_the_cli = (*([program] if program else [node, compiler]), "--project", functions, "--pretty", "true")
    share = str(max(1, min(_THREADS, (os.cpu_count() or 1) // 2)))
    # Each of its threads reads the libraries anew, so that more of them than processors would only cost.
    fewer = ("--checkers", share) if beside and native else ()
    env = _ENV | ({"GOMAXPROCS": share} if beside else {})
    return Command(argv=(*map(str, as_the_cli), *fewer), deadline_s=math.inf, env=env)


def _is_native(package: PackageJson) -> bool:
    major = package.version.partition(".")[0]
    return major.isdigit() and int(major) >= _NATIVE


def _started_by(compiler: Path, package: PackageJson) -> Path | None:
    """Return the program that the script *compiler* does nothing but start, if it lies beside it: it saves a Node."""
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    name = f"{package.name.rpartition('/')[2]}-{sys.platform}-{architecture}"
    folder = compiler.parents[1].parent
    beside = (folder if folder.name == "@typescript" else folder / "@typescript") / name
    program = beside / "lib" / compiler.stem
    same = program.is_file() and PackageJson.read(beside / "package.json").version == package.version
    return program if same else None


class CompilerBeside(TypeCheck):
    """
    Begins while the CLI bundles, on what the CLI generated the last time.

    That is what it generates this time, unless modules, components or env vars came or went. Where its inputs were
    those to the byte, and it found nothing, that counts; otherwise it runs where and as the CLI would have run it.
    """

    def __init__(
        self,
        stage_of_cli: Callable[[], Stage],
        sync_own: Callable[[], Coroutine[Any, Any, Stage]],
        compile_in: Compile,
    ) -> None:
        """
        Check what the CLI leaves in its stage.

        Args:
            stage_of_cli: Returns that.
            sync_own: Returns a stage that no command writes in, holding what the workspace holds now.
            compile_in: Runs the compiler there.
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
        return await self._compile_in(await asyncio.shield(self._own), beside=True)

    async def _confirmed(self) -> Ended | None:
        stage = self._stage_of_cli()
        with suppress(SandboxError):  # what is wrong with a copy need not be wrong with the other
            if await anyio.to_thread.run_sync(stage.is_as_synced_to, await self._own):
                early = await self._early
                if early is None or early.exit_code == 0:
                    return early
        self._early.cancel()
        return await self._compile_in(stage, beside=False)

    def _started(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task
