"""Reads the queries of a file: which index each takes, with which range, and what it filters."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ast_grep_py import SgNode

from mcp_convex.checks.facts import FilterUse, IndexUse
from mcp_convex.checks.syntax import arguments, bare, links, named, start, string_of

_METHODS = ("withIndex", "withSearchIndex")
_VECTOR_SEARCH = re.compile(r"\.vectorSearch\(\s*[\"'](\w+)[\"']\s*,\s*([\"'])(\w+)\2")
_STEPS = frozenset({"eq", "gt", "gte", "lt", "lte", "search"})
_EQUAL = re.compile(r"\bq\.eq\(\s*q\.field\(\s*[\"']([\w.]+)[\"']\s*\)")
_UNCLEAR = re.compile(r"\bq\.(?:or|not|neq)\(")
_READ = frozenset({"collect", "take", "first", "unique", "paginate"})


def read_queries(root: SgNode, text: str) -> tuple[tuple[IndexUse, ...], tuple[FilterUse, ...]]:
    """Return the indexes that *root* queries, and its filters on tables."""
    indexes = [
        use
        for method in _METHODS
        if f".{method}(" in text
        for call in root.find_all(pattern=f"$QUERY.{method}($$$REST)")
        if (use := _index_use(method, call)) is not None
    ]
    indexes += [
        IndexUse(found[1], found[3], "vectorSearch", found.start(2), ()) for found in _VECTOR_SEARCH.finditer(text)
    ]
    filters = list(_filters(root)) if ".filter(" in text and ".query(" in text else []
    return tuple(indexes), tuple(filters)


def _index_use(method: str, call: SgNode) -> IndexUse | None:
    given = arguments(call)
    table, _ = _queried(call)
    index = string_of(given[0]) if given else None
    if index is None:
        return None
    return IndexUse(table, index, method, start(given[0]), _range(given[1]) if len(given) > 1 else ())


def _queried(node: SgNode) -> tuple[str | None, list[str]]:
    """Return the table that a chain on `db.query("table")` begins with, and the chain's methods, the last one first."""
    methods: list[str] = []
    for method, call in links(node):
        if method == "query":
            called = call.field("function")
            receiver = called.field("object") if called else None
            is_db = receiver is not None and receiver.text().split(".")[-1].strip() == "db"
            given = arguments(call)
            return (string_of(given[0]) if is_db and given else None), methods
        methods.append(method)
    return None, methods


def _range(function: SgNode) -> tuple[tuple[str, str], ...] | None:
    """Return the steps of an index range, `("eq", "author")` each; None where they are not written out."""
    function = bare(function)
    if function.kind() != "arrow_function" or (body := _result(function)) is None:
        return None
    steps: list[tuple[str, str]] = []
    for method, call in links(body):
        if not method:
            return tuple(reversed(steps)) if call.kind() == "identifier" else None
        field = string_of(next(iter(arguments(call)), None))
        if method not in _STEPS or field is None:
            return None
        steps.append((method, field))
    return None


def _result(function: SgNode) -> SgNode | None:
    """Return the expression that an arrow function returns, where it does nothing else."""
    body = function.field("body")
    if body is None or body.kind() != "statement_block":
        return body
    statements = named(body)
    only = statements[0] if len(statements) == 1 and statements[0].kind() == "return_statement" else None
    return next(iter(named(only)), None) if only else None


def _filters(root: SgNode) -> Iterator[FilterUse]:
    for call in root.find_all(pattern="$QUERY.filter($PREDICATE)"):
        table, methods = _queried(call)
        if table is None or not _READ.isdisjoint(methods):  # the second is an array's own filter
            continue
        predicate = arguments(call)[0].text()
        equal = () if _UNCLEAR.search(predicate) else tuple(_EQUAL.findall(predicate))
        indexed = methods.count("filter") > 1 or any(method.startswith("with") for method in methods)
        called = call.field("function")
        method = called.field("property") if called else None
        yield FilterUse(table, start(method or call), equal, indexed=indexed)
