"""Gives a workspace the files that a Convex project needs, and never overwrites one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from mcp_convex.domain.errors import InstallFailed
from mcp_convex.domain.models import FilePath
from mcp_convex.sandboxes.packages import PackageJson
from mcp_convex.sandboxes.sources import functions_folder

_PACKAGE_FILES = ("package.json", "package-lock.json", "convex.json")
_TSCONFIG = "convex/tsconfig.json"
_PATHS = re.compile(r'"(?:paths|baseUrl)"\s*:')
_NODE_TYPES = '"types": ["node"]'


class Template:
    """The project that a workspace begins as, in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def missing(self, root: Path) -> Mapping[Path, bytes]:
        """
        Return the files that *root* lacks for being a Convex project, where each belongs.

        Raises:
            InstallFailed: There is a package.json that does not ask for `convex`.
        """
        if not (root / "package.json").exists():
            wanted = {root / name: self._read(name) for name in (*_PACKAGE_FILES, _TSCONFIG)}
            return {path: data for path, data in wanted.items() if not path.exists()} | self._gitignore(root)
        package_json = PackageJson.read(root / "package.json")
        if not package_json.asks_for("convex"):
            raise InstallFailed(
                "The workspace's package.json does not ask for the package `convex`.",
                next_step='Write `"convex": "^1.48.0"` into its dependencies, then call again.',
            )
        place = root / functions_folder(root) / "tsconfig.json"
        if place.exists() or _resolves_paths(root):
            return {}
        tsconfig = self._read(_TSCONFIG).decode()
        if not package_json.asks_for("@types/node"):
            tsconfig = tsconfig.replace(_NODE_TYPES, '"types": []')
        return {place: tsconfig.encode()}

    def examples(self, root: Path) -> Mapping[FilePath, bytes]:
        """Return the example functions that *root* does not have yet."""
        names = sorted(file.relative_to(self._folder).as_posix() for file in (self._folder / "convex").rglob("*.ts"))
        return {FilePath(name): self._read(name) for name in names if not (root / name).exists()}

    def _gitignore(self, root: Path) -> dict[Path, bytes]:
        path = root / ".gitignore"
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = [line for line in self._read(".gitignore").decode().splitlines() if line not in present.splitlines()]
        return {path: "".join(_lines(present, lines)).encode()} if lines else {}

    def _read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()


def _resolves_paths(root: Path) -> bool:
    """Say whether a tsconfig.json of *root* resolves imports; one closer to the functions would hide it."""
    tsconfig = root / "tsconfig.json"
    return tsconfig.exists() and bool(_PATHS.search(tsconfig.read_text(encoding="utf-8", errors="replace")))


def _lines(present: str, added: list[str]) -> Iterator[str]:
    yield present
    if present and not present.endswith("\n"):
        yield "\n"
    yield from (line + "\n" for line in added)
