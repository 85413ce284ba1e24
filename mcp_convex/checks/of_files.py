"""What is wrong with a file's name or with what is left of its content, and names that collide."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator

from mcp_convex.checks.facts import Finding
from mcp_convex.checks.project import Folder, Module

_VALID = re.compile(r"[A-Za-z0-9_.]+")
_REPLACED = re.compile(r"[^A-Za-z0-9_.]+")
_NEVER_NODE = frozenset({"http", "crons", "schema", "auth.config"})
"""What the CLI always bundles for Convex's own runtime."""
_TAKEN = {
    "schema": "defineSchema({…})",
    "http": "http",
    "crons": "crons",
    "auth.config": "{ providers: […] }",
    "convex.config": "app",
}
"""The modules of which Convex takes the default export, and what that is."""
_ROUTER = re.compile(r"import\s*\{[^}]*\bhttpRouter\b")


def check_file(folder: Folder, module: Module) -> Iterator[Finding]:
    """Yield what is wrong with *module* as a file."""
    yield from _of_name(module)
    yield from _of_environment(module)
    yield from _of_content(folder, module)
    yield from _of_export(module)
    if module.is_entry:
        yield from _collisions(folder, module)


def misplaced(functions: str, path: str, files: Collection[str], at: int) -> Iterator[Finding]:
    """Yield what is wrong with the file at *path*, beside the *functions*, which has a schema or a function *at*."""
    above = [path[:at] for at, char in enumerate(path) if char == "/"]
    owned = (f"{folder}/{name}" for folder in above for name in ("convex.json", "convex.config.ts", "convex.config.js"))
    base = posixpath.basename(path)
    if base.count(".") > 1 or "convex" in path.split("/") or any(own in files for own in owned):
        return
    yield Finding("misplaced", at, {"folder": functions, "right": f"{functions}/{base}"})


def _of_name(module: Module) -> Iterator[Finding]:
    if module.name.startswith("_deps/"):
        yield Finding("reserved_folder", 0)
    elif module.is_entry:
        base = module.path.removeprefix(module.path[: -len(module.name) - len(module.suffix)])
        wrong = next((part for part in base.split("/") if not _VALID.fullmatch(part)), None)
        if wrong is not None:
            yield Finding("file_name", 0, {"part": wrong, "better": _REPLACED.sub("_", wrong)})
    elif " " in module.name and module.facts.is_module:
        yield Finding("skipped_name", 0)


def _of_environment(module: Module) -> Iterator[Finding]:
    directive = module.facts.use_node
    if directive is not None and module.name in _NEVER_NODE:
        yield Finding("node_not_allowed", directive, {"name": module.name})
    if directive is None and module.name.startswith("actions/") and module.is_entry:
        yield Finding("actions_folder", 0)
    if module.name.lower() == "https" and _ROUTER.search(module.facts.text):
        yield Finding("https_file", 0)
    if directive is not None and module.is_entry:
        for function in module.facts.functions:
            if function.exported and function.builder and function.kind != "action":
                kind = "HTTP action" if function.kind == "http" else function.kind
                yield Finding("node_function", function.at, {"name": function.name, "kind": kind})


def _of_export(module: Module) -> Iterator[Finding]:
    facts, what = module.facts, _TAKEN.get(module.name)
    is_known = facts.is_module and not facts.broken and not facts.exports_all
    if what is not None and is_known and "default" not in facts.exports:
        yield Finding("no_default_export", 0, {"what": what})


def _of_content(folder: Folder, module: Module) -> Iterator[Finding]:
    stays = posixpath.basename(module.path).count(".") > 1 and not module.is_pushed
    if module.suffix not in {".ts", ".tsx"} or stays:
        return
    if module.facts.is_empty:
        yield Finding("emptied_file", 0, doubtful=bool(module.facts.text.strip()))
    elif not module.facts.is_module and module.path not in folder.imported_files:
        yield Finding("skipped_file", 0)


def _collisions(folder: Folder, module: Module) -> Iterator[Finding]:
    first = folder.entries[module.name]
    if first is not module:
        yield Finding("same_module", 0, {"other": first.path})
    if not folder.has_folder((module.name,)):
        return
    for function in module.facts.functions:
        other = folder.entries.get(f"{module.name}/{function.name}")
        if other is not None and function.exported and function.builder:
            yield Finding("function_and_module", function.at, {"name": function.name, "other": other.path})
