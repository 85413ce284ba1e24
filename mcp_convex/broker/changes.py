"""What a push changes: the analysis in the `start_push` answer, held against what was live."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mcp_convex.broker.contents import Content, Contents, contents_of
from mcp_convex.broker.wire import AnalysedModule, AnalysedRoute, Index, PushRequest, PushStarted
from mcp_convex.domain.models import ConvexFunction
from mcp_convex.domain.pushes import ChangedFunctions, ChangedIndexes, Changes

Hashes = Mapping[str, str]
"""The SHA-256 of each module of the app, source and source map, by its path."""

_ROUTES = TypeAdapter(tuple[AnalysedRoute, ...])
_SHARED = "_deps/"
"""The folder of the chunks that modules share; it holds no functions."""


def pushed_hashes(request: PushRequest) -> Hashes:
    """Return the hash of each module that the push would leave on the deployment."""
    app = request.app_definition
    changed = {module.path: _sha256(module.source, module.source_map) for module in app.changed_modules}
    return {module.path: module.sha256 for module in app.unchanged_module_hashes} | changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was live when the push began."""

    hashes: Hashes
    contents: Contents
    functions: tuple[ConvexFunction, ...] | None
    """Where the caller knows them. Otherwise a removed module stands for its functions, as `messages:*`."""


def pushed_contents(request: PushRequest, known: Contents, origins: Mapping[str, str]) -> Contents:
    """
    Return what each module is that the push would leave on the deployment.

    Args:
        known: What was there.
        origins: What modules are made of, by their paths, as far as that is known: their bundled code also differs
            with what is bundled beside them.
    """
    app = request.app_definition
    unchanged = app.unchanged_module_hashes
    kept = {module.path: known.get(module.sha256, Content(code=module.sha256)) for module in unchanged}
    codes = {path: content.code for path, content in kept.items()}
    codes |= contents_of(app.changed_modules, codes)
    told = {path: content.origin for path, content in kept.items()} | dict(origins)
    hashes = pushed_hashes(request).items()
    return {sha256: Content(code=codes[path], origin=told.get(path)) for path, sha256 in hashes}


def changes_of(request: PushRequest, started: PushStarted, before: Before, contents: Contents) -> Changes:
    """
    Return what going live would change.

    Args:
        request: What the CLI pushes.
        started: How the deployment analysed it.
        contents: What `pushed_contents` returns.
    """
    app = started.analysis.get("")
    modules = app.functions.items() if app else ()
    found = {function.name: (path, function) for path, module in modules for function in _in(path, module)}
    pushed = pushed_hashes(request)

    def is_changed(path: str) -> bool:
        was, will_be = before.hashes.get(path), pushed.get(path)
        if was is None or will_be is None or was == will_be:
            return was != will_be
        known = before.contents.get(was)
        return known is None or not known.is_same(contents[will_be])

    touched = {name for name, (path, _) in found.items() if is_changed(path)}
    if before.functions is None:
        functions = _by_modules({name: path for name, (path, _) in found.items()}, touched, before.hashes, pushed)
    else:
        after = {name: function for name, (_, function) in found.items()}
        functions = _by_functions(after, touched, {function.name: function for function in before.functions})
    diffs = (started.schema_change.index_diffs or {}).items()
    return Changes(
        functions=functions,
        indexes=ChangedIndexes(
            added=tuple(sorted(index_label(at, index) for at, diff in diffs for index in diff.added_indexes)),
            removed=tuple(sorted(index_label(at, index) for at, diff in diffs for index in diff.removed_indexes)),
        ),
        tables=tuple(sorted(table.table_name for table in app.schema_.tables)) if app and app.schema_ else (),
    )


def _by_functions(
    after: Mapping[str, ConvexFunction], touched: set[str], live: Mapping[str, ConvexFunction]
) -> ChangedFunctions:
    def differs(name: str) -> bool:
        was, will_be = live[name], after[name]
        return name in touched or (was.kind, was.visibility) != (will_be.kind, will_be.visibility)

    changed = sorted(name for name in after.keys() & live.keys() if differs(name))
    turned = [name for name in changed if live[name].visibility != after[name].visibility]
    return ChangedFunctions(
        added=tuple(sorted(after.keys() - live.keys())),
        changed=tuple(changed),
        removed=tuple(sorted(live.keys() - after.keys())),
        made_public=tuple(name for name in turned if after[name].visibility == "public"),
        made_internal=tuple(name for name in turned if after[name].visibility == "internal"),
    )


def _by_modules(after: Mapping[str, str], touched: set[str], before: Hashes, pushed: Hashes) -> ChangedFunctions:
    gone = {_module_name(path) for path in before.keys() - pushed.keys() if not path.startswith(_SHARED)}
    return ChangedFunctions(
        added=tuple(sorted(name for name, path in after.items() if path not in before)),
        changed=tuple(sorted(name for name, path in after.items() if path in before and name in touched)),
        removed=tuple(sorted(f"{module}:*" for module in gone)),
    )


def _in(path: str, module: AnalysedModule) -> Iterator[ConvexFunction]:
    """Yield the functions and HTTP actions of *module*, named as `run_function` takes them."""
    for found in module.functions:
        yield ConvexFunction.model_validate(
            {
                "name": f"{_module_name(path)}:{found.name}",
                "kind": found.udf_type.lower(),
                "visibility": "internal" if found.visibility and found.visibility.kind == "internal" else "public",
            }
        )
    for analysed in _routes(module.http_routes):
        yield ConvexFunction(name=f"{analysed.route.method} {analysed.route.path}", kind="http_action")


def _routes(analysed: Any) -> tuple[AnalysedRoute, ...]:
    try:
        return _ROUTES.validate_python(analysed or ())
    except ValidationError:
        return ()


def index_label(component: str, index: Index) -> str:
    """Return `messages.by_channel(channelId)`, with the component's path before it where it is not the app's."""
    fields = index.fields or tuple(filter(None, (index.search_field, index.vector_field)))
    shown = ", ".join(field for field in fields if field != "_creationTime")
    return f"{component}:{index.name}({shown})" if component else f"{index.name}({shown})"


def _module_name(path: str) -> str:
    return path.removesuffix(".js")


def _sha256(source: str, source_map: str | None) -> str:
    return hashlib.sha256((source + (source_map or "")).encode()).hexdigest()
