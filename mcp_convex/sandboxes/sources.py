"""Finds a workspace's sources on disk, without the packages, build outputs and hidden files around them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mcp_convex.domain import paths
from mcp_convex.domain.errors import DirectoryUnusable, InputError, PathRefused
from mcp_convex.domain.models import FilePath

LARGEST_SOURCE = 10 * 1024 * 1024
"""Bytes. What is larger is no source of functions."""
MOST_SOURCES = 20_000
"""Files. A directory with more is not one project."""

OUTPUTS = frozenset(
    {"build", "coverage", "DerivedData", "dist", "out", "Pods", "target", "venv", "__pycache__", "playwright-report"}
)
"""Folders that tools write. Below the functions' folder any name may be a module's, and so where a package is built."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What changes when a file's content does."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Identity:
        """Return that of the file that *stat* describes."""
        return cls(stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@dataclass(slots=True)
class Sources:
    """The sources below a directory, by their path from there."""

    files: dict[str, Identity] = field(default_factory=dict[str, Identity])
    package_folders: list[str] = field(default_factory=list[str])
    """Each `node_modules`, none inside another."""
    folders: list[str] = field(default_factory=lambda: [""])
    """Those in which there may be sources, the directory itself first."""


def find_sources(root: Path) -> Sources:
    """
    Return the sources below *root*, a directory without links in its path.

    A link to a file of the workspace counts as that file; other links do not count.

    Raises:
        DirectoryUnusable: There are too many for one project.
    """
    found = Sources()
    kept = kept_folders(_content(root / "convex.json"), _content(root / "package.json"))
    for path, entry in _walk(root, "", found, kept):
        if (identity := _identity(root, entry)) is None or identity.size > LARGEST_SOURCE:
            continue
        found.files[path] = identity
        if len(found.files) > MOST_SOURCES:
            raise DirectoryUnusable(
                f"`{root}` holds more than {MOST_SOURCES} source files.",
                next_step="Start the server with the project's own directory as MCP_CONVEX_WORKSPACE.",
            )
    return found


def real_path(root: Path, path: str) -> Path:
    """
    Return where *path* from *root* really is, following links that stay in what tools may touch.

    Raises:
        PathRefused: A link leads elsewhere.
    """
    literal = root / path
    real = Path(os.path.realpath(literal))
    if real != literal:
        if not real.is_relative_to(root):
            raise PathRefused(f"`{path}` is a link that leads out of the workspace.", next_step="Use another path.")
        paths.approve(real.relative_to(root).as_posix())
    return real


def functions_folder(root: Path) -> FilePath:
    """Return the folder of *root* that holds the functions, as far as its convex.json can be followed."""
    return named_functions_folder(_content(root / "convex.json"))


def compiler_name(root: Path) -> str:
    """Return which TypeScript compiler the convex.json of *root* asks for, as far as it can be followed."""
    try:
        settings = paths.check_convex_json((_content(root / "convex.json") or b"{}").decode())
    except (ValueError, InputError):
        settings = {}
    return str(settings.get("typescriptCompiler", "tsc"))


def named_functions_folder(convex_json: bytes | None) -> FilePath:
    """Return the folder that holds the functions under the content of a convex.json, if there is one."""
    try:
        return paths.functions_folder(paths.check_convex_json((convex_json or b"{}").decode()))
    except (ValueError, InputError):
        return paths.functions_folder({})


def kept_folders(convex_json: bytes | None, package_json: bytes | None) -> tuple[str, ...]:
    """Return the folders, each with a `/` at its end, below which nothing is an output, whatever its name."""
    return (named_functions_folder(convex_json) + "/", *_published(package_json))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _published(package_json: bytes | None) -> Iterator[str]:
    """Yield the folders that package.json takes the project's own modules from: a component's are built there."""
    try:
        manifest = json.loads(package_json or b"{}")
        modules = json.dumps([manifest.get(name) for name in ("exports", "main", "module")])
    except (ValueError, AttributeError):
        return
    yield from (f"{name}/" for name in set(re.findall(r'"(?:\./)?([\w-]+)/', modules)))


def _walk(root: Path, folder: str, found: Sources, kept: tuple[str, ...]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    for entry in _visible(root / folder):
        path = folder + entry.name
        if entry.name == "node_modules":
            if entry.is_dir():
                found.package_folders.append(path)
        elif not entry.is_dir(follow_symlinks=False):
            yield path, entry
        elif entry.name not in OUTPUTS or f"{path}/".startswith(kept):
            found.folders.append(path)
            yield from _walk(root, path + "/", found, kept)


def _visible(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, PermissionError):
        return []  # deleted meanwhile, or another program's, such as a database's


def _identity(root: Path, entry: os.DirEntry[str]) -> Identity | None:
    try:
        if entry.is_symlink():
            real_path(root, os.path.relpath(entry.path, root))
        return Identity.of(entry.stat()) if entry.is_file() else None
    except (OSError, PathRefused):
        return None
