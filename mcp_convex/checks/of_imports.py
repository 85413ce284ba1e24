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
_GENERATED = ("server", "api", "dataModel")
_HOMES = {
    **dict.fromkeys(
        ("defineSchema", "defineTable", "httpRouter", "cronJobs", "paginationOptsValidator"), "convex/server"
    ),
    **dict.fromkeys(("v", "ConvexError", "Infer"), "convex/values"),
    **dict.fromkeys(("query", "mutation", "action", "httpAction"), "_generated/server"),
    **dict.fromkeys(("internalQuery", "internalMutation", "internalAction"), "_generated/server"),
    **dict.fromkeys(("QueryCtx", "MutationCtx", "ActionCtx"), "_generated/server"),
    **dict.fromkeys(("api", "internal", "components"), "_generated/api"),
    **dict.fromkeys(("Doc", "Id"), "_generated/dataModel"),
}
"""The module of Convex's that each name is in, and in no other of these."""
_NO_CODE = re.compile(r"\.(?:css|svg|png|wasm|txt|md|html)$|[?#]")


def check_imports(folder: Folder, module: Module) -> Iterator[Finding]:
    """Yield the imports of *module* at which the bundler fails, and those by which the schema comes back to itself."""
    for found in module.facts.imports:
        yield from _of_generated(folder, module, found)
        yield from _of_homes(folder, module, found)
        yield from _of_path(folder, module, found)
        if module.facts.use_node is None:
            yield from _of_node(folder, module, found)
    yield from _of_cycle(folder, module)


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


def _of_generated(folder: Folder, module: Module, found: Import) -> Iterator[Finding]:
    """Yield *found* where it looks for what the push generates above or below the folder that has it."""
    target = posixpath.normpath(posixpath.join(module.folder, found.specifier))
    place, name = posixpath.split(target.removesuffix(".js"))
    owner = posixpath.dirname(place)
    if not found.specifier.startswith(".") or posixpath.basename(place) != "_generated" or name not in _GENERATED:
        return
    is_near = f"{owner}/".startswith(f"{folder.path}/") or f"{folder.path}/".startswith(f"{owner}/" if owner else "")
    if owner == folder.path or not is_near or folder.is_component(owner):
        return
    fails = folder.uses(module, found) or folder.checks_types_of(module)
    values = {"specifier": found.specifier, "folder": folder.path, "right": _way(folder, module, name)}
    yield Finding("generated_path", found.at, values, doubtful=not fails)


def _of_homes(folder: Folder, module: Module, found: Import) -> Iterator[Finding]:
    """Yield the names that *found* takes from one module of Convex's, and that are in another."""
    here = found.specifier.removesuffix(".js")
    generated = re.search(r"(?:^|/)(_generated/\w+)$", here)
    here = generated[1] if generated else here
    if here not in _HOMES.values():
        return
    for name in found.names.values():
        home = _HOMES.get(name, here)
        if home != here:
            right = _way(folder, module, home.removeprefix("_generated/")) if "_generated" in home else home
            values = {"specifier": found.specifier, "name": name, "right": right}
            yield Finding("wrong_module", found.at, values, doubtful=not folder.checks_types_of(module))


def _way(folder: Folder, module: Module, name: str) -> str:
    """Return the specifier with which *module* imports what the push generates as *name*."""
    way = posixpath.relpath(f"{folder.path}/_generated/{name}", module.folder)
    return way if way.startswith(".") else f"./{way}"


def _of_node(folder: Folder, module: Module, found: Import) -> Iterator[Finding]:
    if (builtin := _builtin(folder, found)) is not None and folder.uses(module, found):
        yield Finding("node_import", found.at, {"builtin": builtin})
    other = folder.source(module, found)
    if other is None or other.facts.use_node is None or found.types_only:
        return
    needed = (_builtin(folder, each) for each in other.facts.imports if folder.uses(other, each))
    if (builtin := next((name for name in needed if name), None)) and folder.uses(module, found):
        yield Finding("node_file_import", found.at, {"builtin": builtin, "other": other.path})


def _builtin(folder: Folder, found: Import) -> str | None:
    """Return the builtin that an import means and that only Node has, or None."""
    bare = found.specifier.removeprefix("node:")
    if found.types_only or bare in _SHIMMED or bare.split("/")[0] in folder.packages:
        return None
    return bare if found.specifier.startswith("node:") or bare in _NODE_ONLY else None


def _of_cycle(folder: Folder, module: Module) -> Iterator[Finding]:
    """Yield the import of *module* that is on the way from the schema back to itself."""
    for other, found in folder.schema_cycle:
        if other is module:
            names = (posixpath.basename(each.path) for each, _ in (*folder.schema_cycle, folder.schema_cycle[0]))
            yield Finding("schema_cycle", found.at, {"way": " → ".join(names)})
            return
