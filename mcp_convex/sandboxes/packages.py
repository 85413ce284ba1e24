"""The npm packages that a workspace sees: what its package.json asks for, and where they are installed."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcp_convex.domain.errors import InstallFailed

OLDEST_CONVEX = (1, 40)
COMPILERS = (
    "@typescript/native/bin/tsc",
    "typescript/bin/tsc",
    "@typescript/native-preview/bin/tsgo",
    "@typescript/native-preview/bin/tsgo.js",
)
"""Where convex 1.40 to 1.48 look, in this order, in the `node_modules` of the project's own folder and in no other."""
_MANAGERS = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun", "bun.lockb": "bun"}


class PackageJson(BaseModel):
    """What of a package.json decides which packages are installed."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    dependencies: Mapping[str, str] = Field(default_factory=dict)
    dev_dependencies: Mapping[str, str] = Field(default_factory=dict, alias="devDependencies")
    optional_dependencies: Mapping[str, str] = Field(default_factory=dict, alias="optionalDependencies")
    peer_dependencies: Mapping[str, str] = Field(default_factory=dict, alias="peerDependencies")
    overrides: object = None
    workspaces: object = None
    name: str = ""
    version: str = ""

    @classmethod
    def read(cls, path: Path) -> PackageJson:
        """
        Return what the file at *path* says.

        Raises:
            InstallFailed: It is no package.json.
        """
        return cls.parse(path.read_bytes(), str(path))

    @classmethod
    def parse(cls, data: bytes, name: str = "package.json") -> PackageJson:
        """
        Return what *data*, the content of the file *name*, says.

        Raises:
            InstallFailed: It is no package.json.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError:
            raise InstallFailed(
                f"`{name}` is not a valid package.json.", next_step="Correct it with `write_files`, then call again."
            ) from None

    def asks_for(self, package: str) -> bool:
        """Say whether *package* is among the dependencies."""
        return package in self.required()

    def required(self) -> Mapping[str, str]:
        """Return what has to be installed."""
        return {**self.dependencies, **self.dev_dependencies}

    def kinds(self) -> tuple[Mapping[str, str], ...]:
        """Return what a lock repeats."""
        return self.dependencies, self.dev_dependencies, self.optional_dependencies, self.peer_dependencies


class Packages:
    """The packages of the workspace at *root*, its own and those of the folders around it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @cached_property
    def top(self) -> Path:
        """The folder whose packages the workspace shares: that of the monorepo which it is part of, or its own."""
        if (self._root / "package-lock.json").exists():
            return self._root
        return next((folder for folder in self._root.parents if _holds_workspaces(folder)), self._root)

    def folders_above(self) -> tuple[Path, ...]:
        """Return each `node_modules` between the workspace and the top of its monorepo, the nearest first."""
        around = [folder for folder in self._root.parents if folder.is_relative_to(self.top)]
        return tuple(found for folder in around if (found := folder / "node_modules").is_dir())

    def around(self) -> tuple[Path, ...]:
        """Return the folder of the monorepo that the workspace is part of, if it is: esbuild walks up to it."""
        return () if self.top == self._root else (self.top,)

    def settings_above(self) -> tuple[Path, ...]:
        """Return what esbuild reads of the monorepo's folder when it walks up to it; it gives up where it must not."""
        names = ("package.json", "tsconfig.json", "jsconfig.json")
        return tuple(found for folder in self.around() for name in names if (found := folder / name).is_file())

    def find(self, package: str) -> Path | None:
        """Return the package.json of the *package* that Node finds from the workspace's root."""
        places = self._places()
        return next((found for folder in places if (found := folder / package / "package.json").is_file()), None)

    def compiler(self, name: str) -> Path | None:
        """Return the TypeScript compiler that the CLI takes where convex.json asks for *name*, `tsc` or `tsgo`."""
        places = (self._root / "node_modules" / path for path in COMPILERS if PurePosixPath(path).stem == name)
        return next((found for found in places if found.is_file()), None)

    def _places(self) -> tuple[Path, ...]:
        """Return each `node_modules` that Node looks into from the workspace's root, the nearest first."""
        own = self._root / "node_modules"
        return (own, *self.folders_above()) if own.is_dir() else self.folders_above()

    def linked(self) -> Iterator[Path]:
        """Yield the folders of the monorepo that the workspace's packages are links to."""
        for link in (link for folder in self._places() for link in _links(folder)):
            target = Path(os.path.realpath(link))
            if target.is_relative_to(self.top) and not self._root.is_relative_to(target):
                yield target

    def other_manager(self) -> str | None:
        """Return what manages the packages of the `top`, unless it is npm in the workspace's own root."""
        other = next((manager for lock, manager in _MANAGERS.items() if (self.top / lock).exists()), None)
        return other or (None if self.top == self._root else "npm")

    def premises(self) -> Hashable:
        """Return what tells whether a program that was loaded a while ago would find the same packages and settings."""
        places = self._places()
        own = (self._root / name for name in ("package.json", "convex.json"))
        of_npm = (folder / ".package-lock.json" for folder in places)
        return tuple((str(path), *_state(path)) for path in (*own, *places, *of_npm))

    def check_convex(self) -> None:
        """
        Return if the `convex` package that is installed can be worked with.

        Raises:
            InstallFailed: It is missing or too old.
        """
        if (found := self.find("convex")) is None:
            raise InstallFailed(
                "The package `convex` is not installed.", next_step="Ask the person to install the project's packages."
            )
        check_version(PackageJson.read(found).version)


def check_version(convex: str) -> None:
    """
    Return if the version *convex* of the package can be worked with.

    Raises:
        InstallFailed: It is too old.
    """
    numbers = re.match(r"(\d+)\.(\d+)", convex)
    if numbers is None or tuple(map(int, numbers.groups())) < OLDEST_CONVEX:
        raise InstallFailed(
            f"The workspace uses convex {convex}; this server works with 1.40 and newer.",
            next_step='Write `"convex": "^1.48.0"` into the dependencies in package.json, then call again.',
        )


def _state(path: Path) -> tuple[int, ...]:
    try:
        info = path.stat()
    except OSError:
        return ()
    return info.st_ino, info.st_mtime_ns, info.st_size


def _links(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
            elif entry.name.startswith("@") and entry.is_dir():
                yield from _links(Path(entry.path))


def _holds_workspaces(folder: Path) -> bool:
    if (folder / "pnpm-workspace.yaml").exists():
        return True
    try:
        return bool(PackageJson.read(folder / "package.json").workspaces)
    except (OSError, InstallFailed):
        return False
