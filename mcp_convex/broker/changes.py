"""What a push changes: the analysis in the `start_push` answer, held against what was live."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

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


def changes_of(
    request: PushRequest, started: PushStarted, before: Hashes, live: Iterable[ConvexFunction] | None
) -> Changes:
    """
    Return what going live would change.

    Args:
        request: What the CLI pushes.
        started: How the deployment analysed it.
        before: The modules that were live when the push began.
        live: The functions that are live, where the caller knows them. Otherwise a removed module
            stands for its functions, as `messages:*`.
    """
    app = started.analysis.get("")
    after = {
        found.name: found for path, module in (app.functions if app else {}).items() for found in _in(path, module)
    }
    touched = {_module_name(module.path) for module in request.app_definition.changed_modules}
    if live is None:
        functions = _by_modules(after, touched, before, pushed_hashes(request))
    else:
        functions = _by_functions(after, touched, {found.name: found for found in live})
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
        return name.partition(":")[0] in touched or (was.kind, was.visibility) != (will_be.kind, will_be.visibility)

    return ChangedFunctions(
        added=tuple(sorted(after.keys() - live.keys())),
        changed=tuple(sorted(name for name in after.keys() & live.keys() if differs(name))),
        removed=tuple(sorted(live.keys() - after.keys())),
    )


def _by_modules(
    after: Mapping[str, ConvexFunction], touched: set[str], before: Hashes, pushed: Hashes
) -> ChangedFunctions:
    were_live = {_module_name(path) for path in before}
    gone = {_module_name(path) for path in before.keys() - pushed.keys() if not path.startswith(_SHARED)}
    by_name = {name: name.partition(":")[0] for name in after}
    return ChangedFunctions(
        added=tuple(sorted(name for name, module in by_name.items() if module not in were_live and ":" in name)),
        changed=tuple(sorted(name for name, module in by_name.items() if module in were_live & touched)),
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
