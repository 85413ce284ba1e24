"""Keeps a box in step with the host's copy of the workspace, which is the truth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import anyio

from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.models import FileEntry, FilePath, PrincipalId, WorkspaceId
from mcp_convex.domain.paths import is_approved
from mcp_convex.domain.ports import FileJournal, JournalState
from mcp_convex.sandboxes.e2b.answers import Differences, Looked
from mcp_convex.sandboxes.e2b.box import Box, Message
from mcp_convex.sandboxes.sources import LARGEST_SOURCE, MOST_SOURCES, OUTPUTS, kept_folders

_VERSION = ".mcp-convex/version"
"""The file in the box that says which version of the host's copy it mirrors; it is written last."""
_PROJECT = (FilePath("convex.json"), FilePath("package.json"))

Changes = Mapping[FilePath, bytes | None]
LookedT = TypeVar("LookedT", bound=Looked)


class InStep(NamedTuple):
    """How a box and the host's copy came into step."""

    read_back: int
    """How many files something else had written in the box."""
    replayed: bool
    """Whether the box got every file again."""


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

    async def visible(self) -> tuple[FileEntry, ...]:
        """Return the files that tools may see, sorted by path."""
        files = (await self.state()).files
        return tuple(files[path] for path in sorted(files) if is_approved(path))

    async def content(self, path: FilePath) -> bytes:
        """
        Return what the file *path* holds.

        Raises:
            NotFound: There is none.
        """
        if (data := (await self.contents([path])).get(path)) is None:
            raise NotFound(f"There is no file `{path}`.", next_step="Call `list_files` to see the files.")
        return data

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
            await self._replay(box, is_new=True)

    async def is_in_step(self, box: Box, path: FilePath) -> bool:
        """Say whether *box* holds of *path* what the host's copy holds, which is told faster than by a look."""
        known = (await self.state()).files.get(path)
        return await box.digest(_place(path)) == (known.sha256 if known else None)

    async def look(self, box: Box, *, also: Iterable[FilePath] = ()) -> None:
        """Bring *box* and the host's copy into step, hidden files only where they are known or among *also*."""
        await self.look_by("look", box, Looked, also=also)

    async def look_by(
        self, task: str, box: Box, answers: type[LookedT], *, also: Iterable[FilePath] = (), **request: Any
    ) -> tuple[LookedT, InStep]:
        """Do the same as `look` by another *task* of the program, and return what that *answers* beside."""
        async with self._one_at_a_time:
            state = await self.state()
            known = {path: entry.sha256 for path, entry in state.files.items()}
            hidden = {path for path in (*known, *also) if is_hidden(path)}
            request |= {"rules": await self.rules(), "known": known, "also": sorted(hidden)}
            answer = await box.do(task, request, answers)
            found = {path: data for path, data in answer.changes().items() if path in hidden or not is_hidden(path)}
            return answer, await self._take(box, state, answer.version, found)

    async def keep(self, made: Differences) -> None:
        """Keep what a command has made, and its box holds already."""
        state = await self.state()
        await self._journal.record_found(*self._owner, made.changes(), version=state.version)

    async def _take(self, box: Box, state: JournalState, mirrored: str | None, found: Changes) -> InStep:
        in_step = mirrored == str(state.version)
        if not in_step:
            ours = {*state.files, *state.deleted}
            found = {path: data for path, data in found.items() if path not in ours}
        if found and not await self._journal.record_found(*self._owner, found, version=state.version):
            return InStep(0, replayed=False)  # something was written meanwhile; the next look comes to it
        if in_step:
            self._mirrored = (box.id, state.version)
        else:
            await self._replay(box)
        return InStep(len(found), replayed=not in_step)

    async def _replay(self, box: Box, *, is_new: bool = False) -> None:
        state = await self.state()
        deleted: Changes = {} if is_new else dict.fromkeys(state.deleted)
        await _apply(box, {**deleted, **await self.contents(state.files)}, state.version)
        self._mirrored = (box.id, state.version)


async def _apply(box: Box, changes: Changes, version: int) -> None:
    if deleted := [_place(path) for path, data in changes.items() if data is None]:
        await box.remove(deleted)
    written = {_place(path): data for path, data in changes.items() if data is not None}
    await box.write({**written, _VERSION: str(version).encode()})


def _place(path: FilePath) -> str:
    return f"app/{path}"


def is_hidden(path: str) -> bool:
    """Say whether *path* is looked at only by its name."""
    return any(part.startswith(".") for part in path.split("/"))
