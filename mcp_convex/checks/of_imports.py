"""What is wrong with what files import from one another and from Node."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from mcp_convex.checks.facts import Finding, Import
from mcp_convex.checks.project import Folder, Module

_NODE_ONLY = frozenset(
    {"child_process", "cluster", "crypto", "dgram", "dns", "fs", "fs/promises", "http", "http2", "https", "inspector"}
    | {"module", "net", "os", "path", "perf_hooks", "readline", "repl", "stream", "tls", "tty", "v8", "vm"}
    | {"worker_threads", "zlib"}
)
"""Builtins that no package in wide use stands in for."""
_SHIMMED = frozenset({"async_hooks"})
"""The CLI 1.48 brings its own for Convex's runtime."""
_NO_CODE = re.compile(r"\.(?:css|svg|png|wasm|txt|md|html)$|[?#]")


def check_imports(folder: Folder) -> Iterator[tuple[Module, Finding]]:
    """Yield the imports of *folder* at which the bundler fails, and a schema that comes back to itself."""
    for module in folder.modules.values():
        if module.is_pushed:
            for found in module.facts.imports:
                yield from ((module, finding) for finding in _of_path(folder, module, found))
            if module.facts.use_node is None:
                yield from _of_node(folder, module)
    yield from _schema_cycle(folder)


def _of_path(folder: Folder, module: Module, found: Import) -> Iterator[Finding]:
    specifier = found.specifier
    if not specifier.startswith(".") or found.types_only or "_generated" in specifier or _NO_CODE.search(specifier):
        return
    if folder.resolve(module, specifier) is not None:
        return
    target = posixpath.normpath(posixpath.join(posixpath.dirname(module.path), specifier))
    if target.startswith("../"):
        if folder.uses(module, found):
            yield Finding("import_outside", found.at, {"specifier": specifier})
    elif folder.uses(module, found):
        # Outside of the folder there may be files that nobody lists, such as what a build makes.
        inside = target.startswith(f"{folder.path}/")
        yield Finding("import_unresolved", found.at, {"specifier": specifier}, doubtful=not inside)


def _of_node(folder: Folder, module: Module) -> Iterator[tuple[Module, Finding]]:
    for found in module.facts.imports:
        if (builtin := _builtin(folder, found)) is not None and folder.uses(module, found):
            yield module, Finding("node_import", found.at, {"builtin": builtin})
        path = folder.resolve(module, found.specifier) if found.specifier.startswith(".") else None
        other = folder.modules.get(path) if path else None
        if other is None or other.facts.use_node is None or found.types_only:
            continue
        needed = (_builtin(folder, each) for each in other.facts.imports if folder.uses(other, each))
        if (builtin := next((name for name in needed if name), None)) and folder.uses(module, found):
            yield module, Finding("node_file_import", found.at, {"builtin": builtin, "other": other.path})


def _builtin(folder: Folder, found: Import) -> str | None:
    """Return the builtin that an import means and that only Node has, or None."""
    bare = found.specifier.removeprefix("node:")
    if found.types_only or bare in _SHIMMED or bare.split("/")[0] in folder.packages:
        return None
    return bare if found.specifier.startswith("node:") or bare in _NODE_ONLY else None


def _schema_cycle(folder: Folder) -> Iterator[tuple[Module, Finding]]:
    """Yield each import on a way from the schema back to itself."""
    schema = folder.by_name.get("schema")
    if schema is None or not (way := _way_back(folder, schema, schema, set())):
        return
    shown = " → ".join(posixpath.basename(module.path) for module in (*(module for module, _ in way), schema))
    for module, found in way:
        yield module, Finding("schema_cycle", found.at, {"way": shown})


def _way_back(folder: Folder, module: Module, schema: Module, seen: set[str]) -> list[tuple[Module, Import]]:
    """Return the imports, each with the file that has it, that lead from *module* to *schema*; none if none do."""
    for found in module.facts.imports:
        other = _meant(folder, module, found)
        if other is schema:
            return [(module, found)]
        if other is None or other.path in seen:
            continue
        seen.add(other.path)
        if rest := _way_back(folder, other, schema, seen):
            return [(module, found), *rest]
    return []


def _meant(folder: Folder, module: Module, found: Import) -> Module | None:
    if not found.specifier.startswith(".") or "_generated" in found.specifier or not folder.uses(module, found):
        return None
    path = folder.resolve(module, found.specifier)
    return folder.modules.get(path) if path else None
