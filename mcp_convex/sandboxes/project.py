"""Gives a workspace the files that a Convex project needs, and never overwrites one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mcp_convex.domain.errors import InstallFailed
from mcp_convex.domain.models import FilePath
from mcp_convex.sandboxes.packages import PackageJson
from mcp_convex.sandboxes.sources import named_functions_folder

_PACKAGE_FILES = ("package.json", "package-lock.json", "convex.json")
_TSCONFIG = "convex/tsconfig.json"
_PATHS = re.compile(r'"(?:paths|baseUrl)"\s*:')
_NODE_TYPES = '"types": ["node"]'

Content = Callable[[str], bytes | None]
"""Returns what a file of the workspace holds, by its path; None where there is none."""


class Template:
    """The project that a workspace begins as, in *folder*."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def missing(self, content: Content) -> Mapping[FilePath, bytes]:
        """
        Return the files that a workspace lacks for being a Convex project; *content* returns those that it has.

        Raises:
            InstallFailed: There is a package.json that does not ask for `convex`.
        """
        if (manifest := content("package.json")) is None:
            wanted = {FilePath(name): self._read(name) for name in (*_PACKAGE_FILES, _TSCONFIG)}
            return {path: data for path, data in wanted.items() if content(path) is None} | self._gitignore(content)
        package_json = PackageJson.parse(manifest)
        if not package_json.asks_for("convex"):
            raise InstallFailed(
                "The workspace's package.json does not ask for the package `convex`.",
                next_step='Write `"convex": "^1.48.0"` into its dependencies, then call again.',
            )
        place = FilePath(f"{named_functions_folder(content('convex.json'))}/tsconfig.json")
        if content(place) is not None or _resolves_paths(content):
            return {}
        tsconfig = self._read(_TSCONFIG).decode()
        if not package_json.asks_for("@types/node"):
            tsconfig = tsconfig.replace(_NODE_TYPES, '"types": []')
        return {place: tsconfig.encode()}

    def packages(self) -> Mapping[str, str]:
        """Return the packages that it asks for, with their versions."""
        return PackageJson.read(self._folder / "package.json").required()

    def examples(self, content: Content) -> Mapping[FilePath, bytes]:
        """Return the example functions that a workspace does not have yet."""
        names = sorted(file.relative_to(self._folder).as_posix() for file in (self._folder / "convex").rglob("*.ts"))
        return {FilePath(name): self._read(name) for name in names if content(name) is None}

    def _gitignore(self, content: Content) -> dict[FilePath, bytes]:
        present = (content(".gitignore") or b"").decode(errors="replace")
        lines = [line for line in self._read(".gitignore").decode().splitlines() if line not in present.splitlines()]
        return {FilePath(".gitignore"): "".join(_lines(present, lines)).encode()} if lines else {}

    def _read(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()


def _resolves_paths(content: Content) -> bool:
    """Say whether the workspace's own tsconfig.json resolves imports; one closer to the functions would hide it."""
    return bool(_PATHS.search((content("tsconfig.json") or b"").decode(errors="replace")))


def _lines(present: str, added: list[str]) -> Iterator[str]:
    yield present
    if present and not present.endswith("\n"):
        yield "\n"
    yield from (line + "\n" for line in added)
