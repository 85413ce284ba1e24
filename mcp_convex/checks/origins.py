"""What modules are made of: their own sources, whatever the bundler makes of them beside others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from posixpath import basename

from mcp_convex.checks.facts import Import
from mcp_convex.checks.project import Folder, Module
from mcp_convex.domain.models import FileEntry

_SETTINGS = frozenset({"convex.json", "tsconfig.json"})
_LATER = re.compile(r"\b(?:import|require)\s*\(")
"""What is only asked for when the code runs is not followed."""
_CONVEX = re.compile(r"convex(?:/|$)")
"""The one package that no module is another for; of the others nobody can tell here which version is installed."""


def origins(folder: Folder, files: Sequence[FileEntry]) -> Mapping[str, str]:
    """Return a digest of what each module of *folder* is made of, where all of it is known, by its path when pushed."""
    digests = {str(file.path): file.sha256 for file in files}
    settings = {path for path in digests if basename(path) in _SETTINGS}
    found = {f"{name}.js": _parts(folder, module) for name, module in folder.entries.items()}
    return {
        path: sha256("\n".join(f"{part} {digests[part]}" for part in sorted(settings | parts)).encode()).hexdigest()
        for path, parts in found.items()
        if parts is not None
    }


def _parts(folder: Folder, module: Module) -> set[str] | None:
    """Return the paths of *module* and of all that it imports; None where that cannot be told."""
    parts, left = {module.path}, [module]
    while left:
        each = left.pop()
        if each.facts.broken or _LATER.search(each.facts.text):
            return None
        for found in _imported(each):
            source = folder.source(each, found)
            if source is None:
                return None
            if source.path not in parts:
                parts.add(source.path)
                left.append(source)
    return parts


def _imported(module: Module) -> Iterator[Import]:
    """Yield the imports of *module* that are left when it runs, but for Convex's own and what the push generates."""
    for found in module.facts.imports:
        if not (found.types_only or "_generated/" in found.specifier or _CONVEX.match(found.specifier)):
            yield found
