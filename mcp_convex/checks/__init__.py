"""Offline checks of a workspace's sources, on a real parser. Importing this costs nothing; the parser comes at need."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

import anyio

from mcp_convex.domain import paths
from mcp_convex.domain.diagnostics import EMPTY
from mcp_convex.domain.errors import InputError, NotFound
from mcp_convex.domain.models import FileEntry, FilePath
from mcp_convex.domain.ports.checks import QueriedIndex, ReadFile, SourceChecks
from mcp_convex.domain.pushes import Diagnostic

if TYPE_CHECKING:
    from mcp_convex.checks.checker import Checker, Workspace
    from mcp_convex.checks.project import Typing

T = TypeVar("T")

_STRICT = re.compile(rb"""^[^/\n]*"strict"\s*:\s*true""", re.MULTILINE)
_PATHS = re.compile(rb'"(?:paths|baseUrl)"\s*:')
_LENIENT = re.compile(rb"""^[^/\n]*"(?:noImplicitAny|strict\w+)"\s*:\s*false""", re.MULTILINE)
_SUFFIXES = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")


class OfflineChecks(SourceChecks):
    """The rules under rules/, over files that are read once."""

    def __init__(self) -> None:
        self._checker: Checker | None = None
        self._turn = asyncio.Lock()

    async def check(
        self,
        files: Sequence[FileEntry],
        read: ReadFile,
        *,
        clients: Collection[FilePath] | None = None,
        env_vars: Collection[str] | None = None,
    ) -> tuple[Diagnostic, ...]:
        if not any(_is_code(entry) for entry in files):
            return (EMPTY,)
        async with self._turn:
            workspace = await _workspace(files, read, clients, env_vars)
            found = await self._asked(workspace, read, lambda checker, learnt: checker.check(learnt))
        return found if any(map(workspace.holds_functions, workspace.code)) else (*found, EMPTY)

    async def queried_indexes(self, files: Sequence[FileEntry], read: ReadFile) -> frozenset[QueriedIndex]:
        if not any(_is_code(entry) for entry in files):
            return frozenset()
        async with self._turn:
            workspace = await _workspace(files, read, (), None)
            return await self._asked(workspace, read, lambda checker, learnt: checker.queried_indexes(learnt))

    async def origins(self, files: Sequence[FileEntry], read: ReadFile) -> Mapping[str, str]:
        if not any(_is_code(entry) for entry in files):
            return {}
        async with self._turn:
            workspace = await _workspace(files, read, (), None)

            def question(checker: Checker, learnt: Workspace) -> Mapping[str, str]:
                return checker.origins(learnt, files) if learnt.code == workspace.code else {}

            return await self._asked(workspace, read, question)

    async def _asked(self, workspace: Workspace, read: ReadFile, question: Callable[[Checker, Workspace], T]) -> T:
        """Have the checker learn what it has not seen of *workspace*, and answer."""
        if self._checker is None:
            self._checker = await asyncio.to_thread(_opened)
        contents: dict[str, bytes | None] = {}
        for path in self._checker.missing(workspace):
            contents[path] = await _content(read, path)
        answering = asyncio.create_task(asyncio.to_thread(_answered, self._checker, workspace, contents, question))
        try:
            return await asyncio.shield(answering)
        finally:
            with anyio.CancelScope(shield=True):  # the checker is in use until the thread ends, whoever waits for it
                await asyncio.wait([answering])


def _is_code(entry: FileEntry) -> bool:
    return entry.path.endswith(_SUFFIXES)


def _opened() -> Checker:
    from mcp_convex.checks.checker import Checker  # noqa: PLC0415 - a server's start needs no parser

    return Checker()


async def _content(read: ReadFile, path: str) -> bytes | None:
    try:
        return await read(FilePath(path))
    except NotFound:
        return None  # deleted meanwhile


def _answered(
    checker: Checker,
    workspace: Workspace,
    contents: Mapping[str, bytes | None],
    question: Callable[[Checker, Workspace], T],
) -> T:
    present = {path: data for path, data in contents.items() if data is not None}
    # What was read counts, not what was listed: a person may have saved the file in between.
    read = {path: sha256(data).hexdigest() for path, data in present.items()}
    gone = contents.keys() - present.keys()
    code = {path: read.get(path, digest) for path, digest in workspace.code.items() if path not in gone}
    workspace = replace(workspace, code=code)
    checker.learn(workspace, present)
    return question(checker, workspace)


async def _workspace(
    files: Sequence[FileEntry], read: ReadFile, clients: Collection[FilePath] | None, env_vars: Collection[str] | None
) -> Workspace:
    from mcp_convex.checks.checker import Workspace, dependencies  # noqa: PLC0415 - as above

    listed = frozenset(str(entry.path) for entry in files)
    convex_json = await read(FilePath("convex.json")) if "convex.json" in listed else b"{}"
    package_json = await read(FilePath("package.json")) if "package.json" in listed else b"{}"
    functions = _functions_folder(convex_json)
    return Workspace(
        functions=functions,
        code={
            str(entry.path): entry.sha256
            for entry in files
            if _is_code(entry) and (clients is None or entry.path in clients or entry.path.startswith(f"{functions}/"))
        },
        paths=listed,
        packages=dependencies(package_json),
        env_vars=None if env_vars is None else frozenset(env_vars),
        typing="lenient" if b"staticApi" in convex_json else await _typing(functions, listed, read),
    )


async def _typing(functions: str, listed: Collection[str], read: ReadFile) -> Typing:
    """Return how the compiler looks at the functions when they are pushed."""
    tsconfig = f"{functions}/tsconfig.json"
    if tsconfig in listed:
        content = await read(FilePath(tsconfig))
        return "strict" if _STRICT.search(content) and not _LENIENT.search(content) else "lenient"
    # A push gives the functions one that is strict, unless it would hide how the project's own resolves imports.
    if {"package.json", "tsconfig.json"} <= set(listed) and _PATHS.search(await read(FilePath("tsconfig.json"))):
        return "none"
    return "strict"


def _functions_folder(convex_json: bytes) -> str:
    try:
        return paths.functions_folder(paths.check_convex_json(convex_json.decode(errors="replace")))
    except InputError:
        return "convex"  # a push will say what is wrong with it
