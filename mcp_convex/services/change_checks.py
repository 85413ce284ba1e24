"""What the offline checks say of a change, and of what it breaks elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from hashlib import sha256

from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.models import FileEntry, FilePath
from mcp_convex.domain.ports import Sandbox, SourceChecks
from mcp_convex.domain.pushes import Diagnostic

_MOST = 50
"""Diagnostics in one answer."""

Contents = Mapping[FilePath, bytes | None]
"""Files by path; None where one is to be deleted."""


class ChangeChecks:
    """Compares what the checks say before and after a change."""

    def __init__(self, checks: SourceChecks, sandbox: Sandbox) -> None:
        self._checks = checks
        self._sandbox = sandbox

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
            return tuple(each for each in found if each.file in contents or each not in before)[:_MOST]
        return ()


def _entry(path: FilePath, data: bytes) -> FileEntry:
    return FileEntry(path=path, size=len(data), sha256=sha256(data).hexdigest())
