"""What is wrong with a schema, and with code that asks for what it does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from mcp_convex.checks.facts import FilterUse, Finding, Index, IndexUse, Table
from mcp_convex.checks.project import GIVEN, SYSTEM_TABLES, Folder, Module, Schema
from mcp_convex.checks.rules import enclosing

_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SYSTEM_FIELDS = frozenset({"_id", "_creationTime"})
_KEPT_FIELDS = {
    "_creationTime": "it ends every index by itself",
    "_id": "a document is found by it with `ctx.db.get`",
}
"""Why an index cannot have them."""
_KINDS = {"withIndex": "index", "withSearchIndex": "searchIndex", "vectorSearch": "vectorIndex"}
_EQUALITY, _LOWER, _UPPER = {"eq"}, {"gt", "gte"}, {"lt", "lte"}


def check_schema(folder: Folder, module: Module) -> Iterator[Finding]:
    """Yield what is wrong with the tables that *module* defines, and where it does not fit the schema of *folder*."""
    for table in _written_tables(module):
        yield from _of_table(table)
    if (schema := folder.schema) is None:
        return
    if schema.module is module:
        yield from _of_names(schema)
    yield from _of_table_uses(folder, schema, module)
    yield from _of_index_uses(schema, module)


def _written_tables(module: Module) -> Iterator[Table]:
    yield from module.facts.tables.values()
    groups = [*module.facts.groups.values(), *([module.facts.schema] if module.facts.schema else [])]
    for group in groups:
        yield from (entry.table for entry in group.entries if isinstance(entry.table, Table))


def _of_names(schema: Schema) -> Iterator[Finding]:
    own = schema.module.facts.schema
    seen: set[str] = set()
    for entry in own.entries if own else ():
        if not _TABLE_NAME.fullmatch(entry.name):
            yield Finding("table_name", entry.at, {"table": entry.name})
        if entry.name in seen:
            yield Finding("table_twice", entry.at, {"table": entry.name})
        seen.add(entry.name)


def _of_table(table: Table) -> Iterator[Finding]:
    seen: set[str] = set()
    for field in sorted((table.fields or frozenset()) - _SYSTEM_FIELDS):
        if field.startswith(("_", "$")):
            yield Finding("field_name", table.at, {"field": field})
    for index in table.indexes:
        if index.name in GIVEN or index.name.startswith("_"):
            yield Finding("index_name", index.at, {"index": index.name})
        if index.name in seen:
            yield Finding("index_twice", index.at, {"index": index.name})
        seen.add(index.name)
        if index.fields == ():
            yield Finding("index_empty", index.at, {"index": index.name})
        for field in index.fields or ():
            if table.fields is not None and field.split(".")[0] not in table.fields | _SYSTEM_FIELDS:
                yield Finding("index_field", index.at, {"index": index.name, "field": field})
        if (refused := _refused_field(index)) is not None:
            yield Finding("index_refused_field", index.at, {"index": index.name, **refused})
    yield from _same(table)
    yield from _redundant(table)


def _refused_field(index: Index) -> dict[str, str] | None:
    """Return the first field that an index cannot have, and why, as the rule's words quote them."""
    fields = (index.fields or ()) if index.method == "index" else ()
    for at, field in enumerate(fields):
        if field in fields[:at]:
            return {"field": field, "why": "it is there twice"}
        if field.startswith("_"):
            return {"field": field, "why": _KEPT_FIELDS.get(field, "names that begin with `_` are Convex's own")}
    return None


def _same(table: Table) -> Iterator[Finding]:
    """Yield the indexes that are what another one before them is."""
    seen: dict[tuple[str, str, object], str] = {}
    for index in table.indexes:
        if not index.fields or index.method == "vectorIndex":
            continue
        first, *rest = index.fields
        key = index.method, first, tuple(rest) if index.method == "index" else frozenset(rest)
        if (other := seen.setdefault(key, index.name)) != index.name:
            yield Finding("index_same", index.at, {"index": index.name, "other": other})


def _redundant(table: Table) -> Iterator[Finding]:
    plain = [index for index in table.indexes if index.method == "index" and index.fields and not index.staged]
    for index in plain:
        if other := next((each for each in plain if each.fields != index.fields and _covers(each, index)), None):
            yield Finding("index_redundant", index.at, {"index": index.name, "other": other.name})


def _covers(longer: Index, shorter: Index) -> bool:
    return (longer.fields or ())[: len(shorter.fields or ())] == shorter.fields


def _of_table_uses(folder: Folder, schema: Schema, module: Module) -> Iterator[Finding]:
    if not schema.complete or not _is_of_app(module):
        return
    for use in module.facts.table_uses:
        if use.table in schema.tables or use.table in SYSTEM_TABLES:
            continue
        values = {"table": use.table, "tables": ", ".join(sorted(schema.tables))}
        if use.how == "id":
            yield Finding("unknown_table_id", use.at, values)
        else:
            known = use.how == "type" or enclosing(module.facts, use.at) is not None
            yield Finding("unknown_table", use.at, values, doubtful=not (known and folder.checks_types_of(module)))


def _of_index_uses(schema: Schema, module: Module) -> Iterator[Finding]:
    for use in module.facts.index_uses:
        table = schema.tables.get(use.table or "")
        if table is None or use.table is None:
            continue
        indexes = schema.indexes(use.table, _KINDS[use.method])
        if (index := indexes.get(use.index)) is not None:
            if (finding := _of_range(use, index)) is not None:
                yield replace(finding, doubtful=enclosing(module.facts, use.at) is None)
        elif table.complete and _is_of_app(module):
            known = ", ".join(sorted(indexes)) or "none of that kind"
            values = {"index": use.index, "table": use.table, "known": known, "kind": _KINDS[use.method]}
            yield Finding("unknown_index", use.at, values, doubtful=enclosing(module.facts, use.at) is None)


def _is_of_app(module: Module) -> bool:
    """Say whether what *module* asks a database for is asked of the app's own."""
    return module.name == "schema" or any("_generated/" in found.specifier for found in module.facts.imports)


def _of_range(use: IndexUse, index: Index) -> Finding | None:
    if not use.range or index.fields is None or use.method != "withIndex":
        return None
    fields = (*index.fields, "_creationTime")
    if _fits(use.range, fields):
        return None
    asked = ", ".join(dict.fromkeys(name for _, name in use.range))
    return Finding("index_order", use.at, {"index": use.index, "fields": ", ".join(fields), "asked": asked})


def _fits(steps: tuple[tuple[str, str], ...], fields: tuple[str, ...]) -> bool:
    """Say whether a range asks for equality of the first fields, and bounds on the next one alone."""
    equal = 0
    while equal < len(steps) and steps[equal][0] in _EQUALITY:
        if equal >= len(fields) or steps[equal][1] != fields[equal]:
            return False
        equal += 1
    bounds = steps[equal:]
    if not bounds:
        return True
    if equal >= len(fields) or any(name != fields[equal] for _, name in bounds):
        return False
    kinds = [method for method, _ in bounds]
    return len(kinds) <= 2 and sum(kind in _LOWER for kind in kinds) <= 1 and sum(kind in _UPPER for kind in kinds) <= 1  # noqa: PLR2004 - a lower and an upper bound


def check_filters(folder: Folder, module: Module) -> Iterator[Finding]:
    """Yield the filters of *module*; those that an index of the table would serve are worse."""
    for use in module.facts.filter_uses:
        yield _of_filter(folder.schema, use)


def _of_filter(schema: Schema | None, use: FilterUse) -> Finding:
    table = schema.tables.get(use.table or "") if schema else None
    if table is not None and not use.indexed:
        for index in table.indexes:
            if index.method == "index" and index.fields and index.fields[0] in use.equal:
                values = {"table": use.table or "", "index": index.name, "field": index.fields[0]}
                return Finding("filter_for_index", use.at, values)
    return Finding("filter", use.at, {"table": use.table or ""})
