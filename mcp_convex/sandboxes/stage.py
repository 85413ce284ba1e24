"""The copy of a workspace in which commands run, so that nothing else of the workspace is within their reach."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TextIO

from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.models import FilePath
from mcp_convex.sandboxes.replaced import is_replaced, replaced
from mcp_convex.sandboxes.sources import LARGEST_SOURCE, Identity, Sources, find_sources

TEMPORARY = ".tmp"
"""Where commands put temporary files: a folder of the stage, so that the CLI can rename them into place."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A source, and the copy of it in the stage."""

    source: Identity
    copy: Identity
    sha256: str
    """Of what was read, and so of what the copy holds: the source may be another since."""


class Stage:
    """
    One stage below a state directory, for this process alone; several processes take several.

    What ran in the stage may have left anything there, so syncing follows no link in it and
    writes into no file that stands there.
    """

    def __init__(self, root: Path, state_dir: Path) -> None:
        self._root = root
        self._lock, slot = _take_slot(state_dir)
        self.folder = slot / "root"
        self.folder.mkdir(exist_ok=True)
        self.copied: Mapping[str, Copied] = {}
        """What the stage holds since it was synced, by path."""

    def close(self) -> None:
        """Let another process have the stage."""
        self._lock.close()

    def sync(self, *, package_links: bool, packages_above: Path | None = None) -> Sources:
        """
        Make the stage hold what the workspace holds now.

        Args:
            package_links: Each `node_modules` is a link to the workspace's; if not, an empty folder to mount it on.
            packages_above: The nearest `node_modules` around the workspace, to be linked around the stage.

        Returns:
            What the workspace holds.
        """
        sources = find_sources(self._root)
        links = {path: str(self._root / path) for path in sources.package_folders} if package_links else {}
        folders = {folder for path in (*sources.files, *sources.package_folders) for folder in _folders(path)}
        folders |= set() if package_links else set(sources.package_folders)
        present = self._clear(sources, folders, links)
        for folder in sorted(folders):
            (self.folder / folder).mkdir(exist_ok=True)
        for path, target in links.items():
            with suppress(FileExistsError):
                (self.folder / path).symlink_to(target)
        copied = {path: self._copied_from(path, source, present.get(path)) for path, source in sources.files.items()}
        self.copied = {path: copy for path, copy in copied.items() if copy is not None}
        (self.folder / TEMPORARY).mkdir()
        self._link_above(packages_above if package_links else None)
        return sources

    def read(self, path: FilePath) -> bytes:
        """
        Return what the stage holds of *path*, but for settings that it holds replaced what the workspace does.

        Raises:
            NotFound: It is not there any more.
        """
        data = _content(self._root / path) if is_replaced(path) else self._contents(path).get(path)
        if data is None:
            raise NotFound(f"There is no file `{path}`.", next_step="Call `list_files` to see the files.")
        return data

    def changed(self, keep: Sequence[FilePath]) -> dict[FilePath, bytes | None]:
        """Return what commands have changed at or below the paths *keep*, by path; None for what they deleted."""
        present = {path: data for folder in keep for path, data in self._contents(folder).items()}
        deleted = {path for path in self.copied if path not in present and any(_is_at(path, at) for at in keep)}
        changes: dict[FilePath, bytes | None] = {
            FilePath(path): data for path, data in present.items() if data != _content(self._root / path)
        }
        return changes | {FilePath(path): None for path in deleted}

    def is_as_synced_to(self, other: Stage) -> bool:
        """Say whether this stage holds now what *other* was synced to, whatever commands have done here since."""
        present = find_sources(self.folder).files
        return present.keys() == other.copied.keys() and all(
            self._is_synced_alike(path, identity, other)
            or _content(self.folder / path) == _content(other.folder / path)
            for path, identity in present.items()
        )

    def _is_synced_alike(self, path: str, identity: Identity, other: Stage) -> bool:
        """Say whether the file of that *identity* is still the copy of what *other* has a copy of as well."""
        ours, theirs = self.copied.get(path), other.copied.get(path)
        return ours is not None and theirs is not None and (ours.source, ours.copy) == (theirs.source, identity)

    def _clear(self, sources: Sources, folders: set[str], links: dict[str, str]) -> dict[str, Identity]:
        """Remove from the stage what does not belong there, and return the files that may be left as they are."""
        files: dict[str, Identity] = {}
        pending = [""]
        while pending:
            folder = pending.pop()
            with os.scandir(self.folder / folder) as entries:
                for entry in entries:
                    path = folder + entry.name
                    info = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(info.st_mode) and path in folders:
                        pending.append(path + "/")
                    elif stat.S_ISREG(info.st_mode) and path in sources.files:
                        files[path] = Identity.of(info)
                    elif not (stat.S_ISLNK(info.st_mode) and str(Path(entry.path).readlink()) == links.get(path)):
                        _remove(Path(entry.path), info)
        return files

    def _link_above(self, packages: Path | None) -> None:
        above = self.folder.with_name("node_modules")
        above.unlink(missing_ok=True)
        if packages is not None:
            above.symlink_to(packages)

    def _copied_from(self, path: str, source: Identity, present: Identity | None) -> Copied | None:
        """Return the copy of *path*, which is *present* there or is made; None where nothing can be copied."""
        known = self.copied.get(path)
        if known is not None and (known.source, known.copy) == (source, present):
            return known
        if known is None and present is not None and not is_replaced(path) and _is_left(present, source):
            return Copied(source, present, sha256((self.folder / path).read_bytes()).hexdigest())
        return self._copy(path, source)

    def _copy(self, path: str, source: Identity) -> Copied | None:
        copy = self.folder / path
        copy.unlink(missing_ok=True)
        try:
            data = (self._root / path).read_bytes()
        except (FileNotFoundError, PermissionError):
            return None  # deleted since it was found, or not for this server
        copy.write_bytes(replaced(path, data) if is_replaced(path) else data)
        os.utime(copy, ns=(source.modified_ns, source.modified_ns))
        return Copied(source, Identity.of(copy.lstat()), sha256(data).hexdigest())

    def _contents(self, at: str) -> dict[str, bytes]:
        """Return the regular files at or below *at*, reached without a link."""
        place = self.folder / at
        if any(folder.is_symlink() for folder in (place, *place.parents) if folder.is_relative_to(self.folder)):
            return {}
        found = [place] if place.is_file() else place.rglob("*")
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in found
            if stat.S_ISREG((info := path.lstat()).st_mode) and info.st_size <= LARGEST_SOURCE
        }


def _is_left(copy: Identity, source: Identity) -> bool:
    """Say whether an earlier process has made the *copy*, and of what the *source* still is."""
    return (source.size, source.modified_ns) == (copy.size, copy.modified_ns)


def _take_slot(state_dir: Path) -> tuple[TextIO, Path]:
    number = 0
    while (lock := _lock(slot := state_dir / f"stage-{number}")) is None:
        number += 1
    return lock, slot


def _lock(slot: Path) -> TextIO | None:
    slot.mkdir(parents=True, exist_ok=True)
    lock = (slot / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]


def _is_at(path: str, at: str) -> bool:
    return path == at or path.startswith(at + "/")


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _remove(path: Path, info: os.stat_result) -> None:
    if stat.S_ISDIR(info.st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()
