"""Keeps a box in step with the host's copy of the workspace, which is the truth."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import anyio

from mcp_convex.domain.models import FilePath, PrincipalId, WorkspaceId
from mcp_convex.domain.paths import LONGEST_PATH
from mcp_convex.domain.ports import FileJournal, JournalState
from mcp_convex.sandboxes.e2b.box import Box, Message
from mcp_convex.sandboxes.sources import LARGEST_SOURCE, MOST_SOURCES, OUTPUTS, kept_folders

_VERSION = ".mcp-convex/version"
"""The file in the box that says which version of the host's copy it mirrors; it is written last."""
_PROJECT = (FilePath("convex.json"), FilePath("package.json"))
_LOOK_S = 30.0

Changes = Mapping[FilePath, bytes | None]


class Mirror:
    """
    The host's copy, and what of it the box holds.

    A box that names the copy's own version holds what the copy holds, and what differs was written by something else
    there: that is read back. Any other box missed a write, was made anew, or lost one while it was paused: it gets
    every file again, in one request.
    """

    def __init__(self, journal: FileJournal, owner: tuple[PrincipalId, WorkspaceId]) -> None:
        self._journal = journal
        self._owner = owner
        self._mirrored: tuple[str, int] | None = None
        """The box that was last in step, and with which version."""
        self._one_at_a_time = anyio.Lock()

    async def tag(self) -> str:
        """Return what the workspace's boxes are marked with."""
        return await self._journal.tag(*self._owner)

    async def state(self) -> JournalState:
        """Return what the host's copy holds."""
        return await self._journal.state(*self._owner)

    async def contents(self, paths: Iterable[FilePath]) -> Mapping[FilePath, bytes]:
        """Return what those of *paths* hold that are there."""
        return await self._journal.contents(*self._owner, paths)

    async def rules(self) -> Message:
        """Return which files are sources, as the program in the box takes it."""
        project = await self.contents(_PROJECT)
        kept = kept_folders(*(project.get(path) for path in _PROJECT))
        return {"skipped": sorted(OUTPUTS), "kept": kept, "largest": LARGEST_SOURCE, "most": MOST_SOURCES}

    async def write(self, box: Box | None, changes: Changes) -> None:
        """Keep *changes*, then apply them to *box*."""
        async with self._one_at_a_time:
            version = await self._journal.record(*self._owner, changes)
            if box is None:
                return
            if self._mirrored == (box.id, version - 1):
                await _apply(box, changes, version)
                self._mirrored = (box.id, version)
            else:
                await self._replay(box)

    async def fill(self, box: Box) -> None:
        """Have a *box* that was just made hold what the host's copy holds."""
        async with self._one_at_a_time:
            await self._replay(box)

    async def look(
        self, box: Box, task: str = "look", *, also: Iterable[FilePath] = (), **request: Any
    ) -> tuple[Message, int]:
        """
        Bring *box* and the host's copy into step by a *task* of the program that looks at the files.

        Args:
            also: Hidden files to look at.

        Returns:
            The program's answer, and how many files were read back.
        """
        async with self._one_at_a_time:
            state = await self.state()
            known = {path: entry.sha256 for path, entry in state.files.items()}
            hidden = {path for path in (*known, *also) if _is_hidden(path)}
            request |= {"rules": await self.rules(), "known": known, "also": sorted(hidden)}
            answer = await box.do(task, request, within_s=_LOOK_S)
            return answer, await self._take(box, state, answer)

    async def keep(self, answer: Message) -> None:
        """Keep what a command has made, and its box holds already."""
        state = await self.state()
        await self._journal.record_found(*self._owner, _found(answer), version=state.version)

    async def _take(self, box: Box, state: JournalState, answer: Message) -> int:
        found = _found(answer)
        in_step = answer["version"] == str(state.version)
        if not in_step:
            found = {
                path: data for path, data in found.items() if path not in state.files and path not in state.deleted
            }
        if found and not await self._journal.record_found(*self._owner, found, version=state.version):
            return 0
        if not in_step:
            await self._replay(box)
        self._mirrored = (box.id, state.version)
        return len(found)

    async def _replay(self, box: Box) -> None:
        state = await self.state()
        deleted: Changes = dict.fromkeys(state.deleted)
        await _apply(box, {**deleted, **await self.contents(state.files)}, state.version)
        self._mirrored = (box.id, state.version)


async def _apply(box: Box, changes: Changes, version: int) -> None:
    if deleted := [_place(path) for path, data in changes.items() if data is None]:
        await box.remove(deleted)
    written = {_place(path): data for path, data in changes.items() if data is not None}
    await box.write({**written, _VERSION: str(version).encode()})


def _place(path: FilePath) -> str:
    return f"app/{path}"


def _found(answer: Message) -> dict[FilePath, bytes | None]:
    """Return what the box holds; it is hostile, so that only plain paths of the workspace count."""
    changed = {FilePath(path): base64.b64decode(data) for path, data in answer["changed"].items() if _is_plain(path)}
    return changed | {FilePath(path): None for path in answer["missing"] if _is_plain(path)}


def _is_plain(path: str) -> bool:
    return (
        str(PurePosixPath(path)) == path
        and path.isprintable()
        and not path.startswith("/")
        and not {"..", "node_modules"} & set(path.split("/"))
        and len(path.encode()) <= LONGEST_PATH
    )


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))
