"""Writes many files together: all of them or none, also when this process is killed or the disk fills up."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from mcp_convex.domain.errors import SandboxError
from mcp_convex.sandboxes.failures import translated

_FOLDER = ".mcp-convex-"


class _Step(BaseModel):
    target: str
    deletes: bool


class _Journal(BaseModel):
    """What was decided: once this is on the disk, the change will happen; until then nothing has."""

    folder: str
    """Holds `<n>.new`, the content to come, and `<n>.old`, a second name of what step n replaces."""
    steps: list[_Step]
    new_folders: list[str]
    """Outer ones first."""


class ChangeSets:
    """The change sets of one directory."""

    def __init__(self, root: Path, state_dir: Path) -> None:
        self._root = root
        self._journal = state_dir / "journal.json"
        self._lock = state_dir / "writing.lock"

    def apply(self, changes: Mapping[Path, bytes | None]) -> None:
        """
        Write each file, or delete it where the content is None.

        Raises:
            DiskFull: There is no room. Nothing was changed.
            DirectoryUnusable: A file or folder cannot be written. Nothing was changed.
        """
        with translated(self._root), self._alone():
            self._recover()
            if len(changes) == 1 and None in changes.values():  # never half done, and possible on a disk that is full
                next(iter(changes)).unlink(missing_ok=True)
                return
            folder = self._root / (_FOLDER + secrets.token_hex(4))
            journal = _Journal(
                folder=str(folder),
                steps=[_Step(target=str(path), deletes=data is None) for path, data in changes.items()],
                new_folders=_missing_folders(changes),
            )
            try:
                _prepare(folder, changes)
                self._decide(journal)
            except (OSError, SandboxError):
                shutil.rmtree(folder, ignore_errors=True)
                raise
            self._carry_out(journal)

    def recover(self) -> None:
        """Finish or undo what a killed process has left."""
        if self._journal.exists() or any(self._root.glob(_FOLDER + "*")):
            with translated(self._root), self._alone():
                self._recover()

    def _recover(self) -> None:
        if self._journal.exists():
            with contextlib.suppress(OSError):
                self._carry_out(_Journal.model_validate_json(self._journal.read_bytes()))
        if self._journal.exists():
            return  # it could be neither finished nor undone yet
        for left_over in self._root.glob(_FOLDER + "*"):
            shutil.rmtree(left_over, ignore_errors=True)

    def _decide(self, journal: _Journal) -> None:
        draft = self._journal.with_suffix(".draft")
        with translated(self._journal.parent):  # on another disk, perhaps
            draft.write_text(journal.model_dump_json(), encoding="utf-8")
            draft.replace(self._journal)

    def _carry_out(self, journal: _Journal) -> None:
        try:
            _forward(journal)
        except OSError:
            _back(journal)
            self._forget(journal)
            raise
        self._forget(journal)

    def _forget(self, journal: _Journal) -> None:
        self._journal.unlink()
        shutil.rmtree(journal.folder, ignore_errors=True)

    @contextmanager
    def _alone(self) -> Generator[None]:
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with self._lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _missing_folders(changes: Mapping[Path, bytes | None]) -> list[str]:
    parents = {path.parent for path, data in changes.items() if data is not None}
    missing = {folder for parent in parents if not parent.exists() for folder in (parent, *parent.parents)}
    return sorted(str(folder) for folder in missing if not folder.exists())


def _prepare(folder: Path, changes: Mapping[Path, bytes | None]) -> None:
    folder.mkdir(mode=0o700)
    for number, (path, data) in enumerate(changes.items()):
        mode = _keep_old(path, f"{folder}/{number}.old")
        if data is not None:
            with open(os.open(f"{folder}/{number}.new", os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(data)


def _keep_old(path: Path, name: str) -> int:
    """Give the file at *path* a second name, and return its permissions; those of a new file if there is none."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return 0o666
    _give_second_name(path, name)
    return mode & 0o777


def _give_second_name(path: Path, name: Path | str) -> None:
    try:
        os.link(path, name)
    except OSError:  # a file system without hard links
        shutil.copy2(path, name)


def _forward(journal: _Journal) -> None:
    """Take every step that has not been taken."""
    for new_folder in journal.new_folders:
        Path(new_folder).mkdir(exist_ok=True)
    for number, step in enumerate(journal.steps):
        with contextlib.suppress(FileNotFoundError):
            if step.deletes:
                os.unlink(step.target)  # noqa: PTH108 - a hundred of them, quickly
            else:
                os.replace(f"{journal.folder}/{number}.new", step.target)  # noqa: PTH105 - the same


def _back(journal: _Journal) -> None:
    """Undo every step that has been taken, so that each can be taken again."""
    for number, step in enumerate(journal.steps):
        new, old = Path(journal.folder, f"{number}.new"), Path(journal.folder, f"{number}.old")
        if not step.deletes and not new.exists():
            Path(step.target).replace(new)
        if old.exists() and not Path(step.target).exists():
            _give_second_name(old, Path(step.target))
    for new_folder in reversed(journal.new_folders):
        with contextlib.suppress(OSError):
            Path(new_folder).rmdir()
