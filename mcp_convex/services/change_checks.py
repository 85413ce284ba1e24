"""What the offline checks say of a change, and of what it breaks elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256

from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.models import FileEntry, FilePath
from mcp_convex.domain.ports import Sandbox, SourceChecks
from mcp_convex.domain.pushes import Diagnostic
from mcp_convex.services.env_known import KnownEnvVars

_MOST = 50
"""Diagnostics in one answer."""
ENV_NEEDED = "env_needed"
"""The code of the note that an env var is needed, for when it is not known which are set."""

Contents = Mapping[FilePath, bytes | None]
"""Files by path; None where one is to be deleted."""


class ChangeChecks:
    """Compares what the checks say before and after a change."""

    def __init__(self, checks: SourceChecks, sandbox: Sandbox, known: KnownEnvVars) -> None:
        self._checks = checks
        self._sandbox = sandbox
        self._known = known

    async def before(self, entries: Mapping[FilePath, FileEntry]) -> frozenset[Diagnostic]:
        """Return what is wrong with the functions as they stand."""
        with suppress(ConvexMcpError):
            return frozenset(await self._checks.check(tuple(entries.values()), self._sandbox.read, clients=()))
        return frozenset()

    async def after(
        self, entries: Mapping[FilePath, FileEntry], contents: Contents, before: Collection[Diagnostic]
    ) -> tuple[Diagnostic, ...]:
        """Return what is wrong with the files of *contents*, which have been written, and what that broke elsewhere."""

        async def read(path: FilePath) -> bytes:
            data = contents.get(path)
            return await self._sandbox.read(path) if data is None else data

        now = {path: entry for path, entry in entries.items() if path not in contents}
        now |= {path: _entry(path, data) for path, data in contents.items() if data is not None}
        with suppress(ConvexMcpError):  # the files are written, whatever becomes of the checks
            found = await self._checks.check(tuple(now.values()), read, clients=contents.keys())
            new = (each for each in found if each.file in contents or each not in before)
            return (await self._without_known(new, before))[:_MOST]
        return ()

    async def _without_known(
        self, found: Iterable[Diagnostic], before: Collection[Diagnostic]
    ) -> tuple[Diagnostic, ...]:
        """Return *found* without what is said of an env var that the code needed *before*, or that is set."""
        said = {(each.file, each.message) for each in before if each.code == ENV_NEEDED}
        left = tuple(each for each in found if (each.file, each.message) not in said)
        if not any(each.code == ENV_NEEDED for each in left):
            return left
        there = [f"`{name}`" for name in await self._known.names()]
        return tuple(
            each for each in left if each.code != ENV_NEEDED or not any(name in each.message for name in there)
        )


def _entry(path: FilePath, data: bytes) -> FileEntry:
    return FileEntry(path=path, size=len(data), sha256=sha256(data).hexdigest())
