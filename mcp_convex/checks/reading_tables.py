"""Reads tables and schemas where they are written out."""

from __future__ import annotations

from ast_grep_py import SgNode

from mcp_convex.checks.facts import Entry, Index, Reference, Table, Tables
from mcp_convex.checks.syntax import (
    arguments,
    bare,
    callee,
    links,
    named,
    properties,
    property_of,
    start,
    string_of,
)

_INDEXES = {"index", "searchIndex", "vectorIndex"}


def read_schema(node: SgNode) -> Tables | None:
    """Return the tables of a `defineSchema(…)`, or None if *node* is none."""
    if callee(node) != "defineSchema" or not (given := arguments(node)):
        return None
    loose = any(value is None or value.text() != "true" for name, value in _options(given) if "TableName" in name)
    tables = read_tables(given[0]) or Tables(complete=False)
    return Tables(tables.entries, tables.spreads, complete=False) if loose else tables


def _options(given: list[SgNode]) -> list[tuple[str, SgNode | None]]:
    return list(properties(bare(given[1]))) if len(given) > 1 else []


def read_tables(node: SgNode) -> Tables | None:
    """Return the tables of an object of tables, or of a name for one; None if *node* is neither."""
    node = bare(node)
    if node.kind() == "identifier":
        return Tables(spreads=(node.text(),))
    if node.kind() != "object":
        return None
    entries: list[Entry] = []
    spreads: list[str] = []
    complete = True
    for child in named(node):
        match child.kind():
            case "pair":
                key, value = child.field("key"), child.field("value")
                if key is None or value is None or key.kind() == "computed_property_name":
                    complete = False
                    continue
                entries.append(Entry(string_of(key) or key.text(), start(child), _table_or_reference(value)))
            case "shorthand_property_identifier":
                entries.append(Entry(child.text(), start(child), Reference(child.text())))
            case "spread_element" if named(child) and bare(named(child)[0]).kind() == "identifier":
                spreads.append(bare(named(child)[0]).text())
            case _:
                complete = False
    return Tables(tuple(entries), tuple(spreads), complete)


def _table_or_reference(node: SgNode) -> Table | Reference | None:
    node = bare(node)
    return Reference(node.text()) if node.kind() == "identifier" else read_table(node)


def read_table(node: SgNode) -> Table | None:
    """Return the table that a chain on `defineTable(…)` makes, or None if *node* is no such chain."""
    indexes: list[Index] = []
    complete = True
    for method, call in links(node):
        if method in _INDEXES:
            if (index := _index(method, call)) is None:
                complete = False
            else:
                indexes.append(index)
        elif method and method != "staged":
            complete = False
        elif callee(call) == "defineTable":
            return Table(start(call), tuple(reversed(indexes)), _fields(arguments(call)), complete)
    return None


def _index(method: str, call: SgNode) -> Index | None:
    given = arguments(call)
    name = string_of(given[0]) if given else None
    if name is None or len(given) < 2:  # noqa: PLR2004 - a name and what it indexes
        return None
    settings = bare(given[1])
    staged = property_of(settings, "staged")
    return Index(name, start(given[0]), _index_fields(method, settings), method, staged=staged is not None)


def _index_fields(method: str, settings: SgNode) -> tuple[str, ...] | None:
    if method == "index":
        return _strings(settings if settings.kind() == "array" else property_of(settings, "fields"))
    first = string_of(property_of(settings, "searchField" if method == "searchIndex" else "vectorField"))
    filters = property_of(settings, "filterFields")
    others = () if filters is None else _strings(filters)
    return None if first is None or others is None else (first, *others)


def _strings(node: SgNode | None) -> tuple[str, ...] | None:
    if node is None or bare(node).kind() != "array":
        return None
    found = [string_of(child) for child in named(bare(node))]
    return None if None in found else tuple(text for text in found if text is not None)


def _fields(given: list[SgNode]) -> frozenset[str] | None:
    """Return the names at the top of the documents that a validator lets through; None where that is not clear."""
    node = bare(given[0]) if given else None
    if node is None:
        return None
    if node.kind() == "object":
        kinds = {child.kind() for child in named(node)}
        return frozenset(name for name, _ in properties(node)) if kinds <= {"pair"} else None
    match callee(node):
        case "v.object":
            return _fields(arguments(node))
        case "v.union":
            members = [_fields([member]) for member in arguments(node)]
            known = [member for member in members if member is not None]
            return frozenset(name for member in known for name in member) if len(known) == len(members) else None
        case _:
            return None
