"""Offline checks of a workspace's sources, on a real parser. Importing this costs nothing; the parser comes at need."""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from mcp_convex.domain import paths
from mcp_convex.domain.errors import InputError
from mcp_convex.domain.models import FileEntry, FilePath
from mcp_convex.domain.ports.checks import ReadFile, SourceChecks
from mcp_convex.domain.pushes import Diagnostic

if TYPE_CHECKING:
    from mcp_convex.checks.checker import Checker, Workspace

_SUFFIXES = frozenset({".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs"})


class OfflineChecks(SourceChecks):
    """The rules under rules/, over files that are read once."""

    def __init__(self) -> None:
        self._checker: Checker | None = None
        self._turn = asyncio.Lock()

    async def check(
        self, files: Sequence[FileEntry], read: ReadFile, *, env_vars: Collection[str] | None = None
    ) -> tuple[Diagnostic, ...]:
        async with self._turn:
            if self._checker is None:
                self._checker = await asyncio.to_thread(_opened)
            workspace = await _workspace(files, read, env_vars)
            missing = self._checker.missing(workspace)
            contents = {path: await read(FilePath(path)) for path in missing}
            return await asyncio.to_thread(_checked, self._checker, workspace, contents)


def _opened() -> Checker:
    from mcp_convex.checks.checker import Checker  # noqa: PLC0415 - a server's start needs no parser

    return Checker()


def _checked(checker: Checker, workspace: Workspace, contents: dict[str, bytes]) -> tuple[Diagnostic, ...]:
    checker.learn(workspace, contents)
    return checker.check(workspace)


async def _workspace(files: Sequence[FileEntry], read: ReadFile, env_vars: Collection[str] | None) -> Workspace:
    from mcp_convex.checks.checker import Workspace, dependencies  # noqa: PLC0415 - as above

    listed = frozenset(str(entry.path) for entry in files)
    convex_json = await read(FilePath("convex.json")) if "convex.json" in listed else b"{}"
    package_json = await read(FilePath("package.json")) if "package.json" in listed else b"{}"
    return Workspace(
        functions=_functions_folder(convex_json),
        code={str(entry.path): entry.sha256 for entry in files if posixpath.splitext(entry.path)[1] in _SUFFIXES},
        paths=listed,
        packages=dependencies(package_json),
        env_vars=None if env_vars is None else frozenset(env_vars),
    )


def _functions_folder(convex_json: bytes) -> str:
    try:
        return paths.functions_folder(paths.check_convex_json(convex_json.decode(errors="replace")))
    except InputError:
        return "convex"  # a push will say what is wrong with it
