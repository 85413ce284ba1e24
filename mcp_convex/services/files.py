"""The workspace's files: read in bounded pieces, and changed all together or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Literal

from pydantic import Field, model_validator

from mcp_convex.domain import paths
from mcp_convex.domain.errors import EditMismatch, InvalidArguments, NotFound, StaleBase, TooLarge
from mcp_convex.domain.models import FileEntry, FilePath, Model
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import Sandbox
from mcp_convex.domain.pushes import Diagnostic
from mcp_convex.services.change_checks import ChangeChecks

SHOWN_CHARACTERS = 60_000
"""The most characters of a file that one answer holds."""


class Change(Model):
    """One file, changed in one of three ways."""

    path: str = Field(description="From the workspace's root, such as `convex/messages.ts`.")
    content: str | None = Field(default=None, description="The file's whole new content.")
    old: str | None = Field(default=None, description="Text that stands in the file exactly once, to be replaced.")
    new: str | None = Field(default=None, description="What replaces `old`.")
    delete: bool = Field(default=False, description="True deletes the file.")

    @model_validator(mode="after")
    def _is_one_kind(self) -> Change:
        kinds = (self.content is not None, self.old is not None or self.new is not None, self.delete)
        if sum(kinds) != 1 or (self.old is None) != (self.new is None):
            raise ValueError("give `content`, or `old` and `new`, or `delete: true`")
        return self


class ChangedFile(Model):
    path: FilePath
    action: Literal["created", "updated", "deleted", "unchanged"]
    size: int | None = Field(default=None, description="Bytes.")
    sha256: str | None = Field(default=None, description="Of the new content; `base` takes it.")


class Written(Model):
    changes: tuple[ChangedFile, ...]
    diagnostics: tuple[Diagnostic, ...] = Field(
        default=(), description="What is wrong with these files, and what they break elsewhere. They are written."
    )
    next_step: str | None = Field(default=None, description="What a template needs beside its files.")


class FileContent(Model):
    path: FilePath
    content: str
    sha256: str = Field(description="Of the whole file; `write_files` takes it in `base`.")
    first_line: int = Field(description="1-based.")
    last_line: int = Field(description="1-based, inclusive.")
    lines: int = Field(description="How many the file has.")


class FileService:
    def __init__(
        self, sandbox: Sandbox, checks: ChangeChecks, policy: Policy, *, on_written: Callable[[], None]
    ) -> None:
        self._sandbox = sandbox
        self._on_written = on_written
        self._checks = checks
        self._policy = policy

    async def list(self) -> tuple[FileEntry, ...]:
        """Return the workspace's files, sorted by path."""
        return await self._sandbox.list()

    async def read(self, path: str, *, first_line: int = 1, last_line: int | None = None) -> FileContent:
        """
        Return lines of a file, as many as fit into one answer.

        Raises:
            NotFound: There is no such file, or it has fewer lines.
            InvalidArguments: It is not text.
        """
        approved = paths.approve(path)
        data = await self._sandbox.read(approved)
        lines = _text(approved, data).splitlines(keepends=True)
        if first_line > max(len(lines), 1):
            raise NotFound(
                f"`{approved}` has {len(lines)} lines.", next_step="Call `read_file` with a smaller `first_line`."
            )
        shown = _fitting(lines[first_line - 1 : last_line])
        return FileContent(
            path=approved,
            content="".join(shown),
            sha256=sha256(data).hexdigest(),
            first_line=first_line,
            last_line=first_line + max(len(shown), 1) - 1,
            lines=len(lines),
        )

    async def text(self, path: str) -> str:
        """
        Return a file's whole text.

        Raises:
            NotFound: There is no such file.
            InvalidArguments: It is not text.
        """
        approved = paths.approve(path)
        return _text(approved, await self._sandbox.read(approved))

    async def write(self, changes: Sequence[Change], base: Mapping[str, str] | None = None) -> Written:
        """
        Apply every change, or none of them; edits of one file each on what the ones before have left.

        Args:
            base: The sha256 that each file is expected to have now, by path.

        Raises:
            PathRefused: A path is outside the workspace, or one that tools may not touch.
            StaleBase: A file is not what *base* says.
            EditMismatch: An `old` does not stand in its file exactly once.
            BlockedByPolicy: The server is read-only.
        """
        self._policy.check_files()
        approved = [(paths.approve(change.path), change) for change in changes]
        _check_repeated(approved)
        entries = {entry.path: entry for entry in await self._sandbox.list()}
        paths.check_collisions([path for path, change in approved if not change.delete], entries)
        _check_base({paths.approve(path): digest for path, digest in (base or {}).items()}, entries)
        contents: dict[FilePath, bytes | None] = {}
        for path, change in approved:
            contents[path] = await self._after(path, change, entries, contents.get(path))
        before = await self._checks.before(entries)
        await self._sandbox.write({path: data for path, data in contents.items() if _differs(path, data, entries)})
        self._on_written()
        return Written(
            changes=tuple(_changed(path, data, entries) for path, data in contents.items()),
            diagnostics=await self._checks.after(entries, contents, before),
        )

    def take_notes(self) -> tuple[str, ...]:
        """Return what befell the sandbox that holds the files since this was last asked."""
        return self._sandbox.take_notes()

    async def init(self) -> tuple[FilePath, ...]:
        """
        Write the example functions, never over a file that is there, and return what was written.

        Raises:
            BlockedByPolicy: The server is read-only.
        """
        self._policy.check_files()
        return await self._sandbox.init()

    async def _after(
        self, path: FilePath, change: Change, entries: Mapping[FilePath, FileEntry], edited: bytes | None
    ) -> bytes | None:
        if change.delete:
            if path not in entries:
                raise NotFound(f"There is no file `{path}` to delete.", next_step="Call `list_files` to see the files.")
            return None
        if change.content is not None:
            text = change.content
        else:
            before = await self._sandbox.read(path) if edited is None else edited
            text = _edited(path, _text(path, before), change.old or "", change.new or "")
        return _encoded(path, text)


def _edited(path: FilePath, text: str, old: str, new: str) -> str:
    if (found := text.count(old) if old else 0) != 1:
        raise EditMismatch(
            f"`old` stands {found} times in `{path}`, not once. Nothing was changed.",
            next_step="Call `read_file`, then repeat the call with an `old` that stands there exactly once.",
        )
    return text.replace(old, new)


def _encoded(path: FilePath, text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise InvalidArguments(
            f"The content for `{path}` is not valid Unicode text.", next_step="Send it again without lone surrogates."
        ) from None
    paths.check_content(path, data)
    return data


def _text(path: FilePath, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidArguments(
            f"`{path}` is not a text file.", next_step="Leave it as it is, or delete it and write a text file."
        ) from None


def _check_repeated(approved: Sequence[tuple[FilePath, Change]]) -> None:
    times = Counter(path for path, _ in approved)
    for path, change in approved:
        if times[path] > 1 and change.old is None:
            raise InvalidArguments(
                f"`{path}` is changed twice in one call, and not by edits alone.",
                next_step="Join its changes into one, or send two calls.",
            )


def _check_base(base: Mapping[FilePath, str], entries: Mapping[FilePath, FileEntry]) -> None:
    stale = [path for path, digest in base.items() if (entries[path].sha256 if path in entries else "") != digest]
    if stale:
        raise StaleBase(
            f"{', '.join(f'`{path}`' for path in stale)} changed since you read it. Nothing was written.",
            next_step="Call `read_file` again and base the change on what stands there now.",
        )


def _differs(path: FilePath, data: bytes | None, entries: Mapping[FilePath, FileEntry]) -> bool:
    return data is None or path not in entries or entries[path].sha256 != sha256(data).hexdigest()


def _changed(path: FilePath, data: bytes | None, entries: Mapping[FilePath, FileEntry]) -> ChangedFile:
    if data is None:
        return ChangedFile(path=path, action="deleted")
    if path not in entries:
        action: Literal["created", "updated", "unchanged"] = "created"
    else:
        action = "updated" if _differs(path, data, entries) else "unchanged"
    return ChangedFile(path=path, action=action, size=len(data), sha256=sha256(data).hexdigest())


def _fitting(lines: Sequence[str]) -> Sequence[str]:
    used = 0
    for count, line in enumerate(lines):
        used += len(line)
        if used > SHOWN_CHARACTERS:
            if count == 0:
                raise TooLarge(
                    f"That line is longer than {SHOWN_CHARACTERS:,} characters.",
                    next_step="Leave the line as it is, or replace the file.",
                )
            return lines[:count]
    return lines
