"""Reads one file: its imports and exports, what it registers, and what it asks of others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ast_grep_py import Rule, SgNode

from mcp_convex.checks.facts import (
    EnvUse,
    Facts,
    Finding,
    Function,
    FunctionUse,
    Import,
    NameUse,
    Table,
    Tables,
    TableUse,
)
from mcp_convex.checks.reading_functions import read_function, read_inline
from mcp_convex.checks.reading_queries import read_queries
from mcp_convex.checks.reading_tables import read_schema, read_table, read_tables
from mcp_convex.checks.syntax import bare, first_error, named, parsed, start, string_of

SERVER = re.compile(r"(?:^|/)_generated/server(?:\.js)?$")
API = re.compile(r"(?:^|/)_generated/api(?:\.js)?$")
_MODULE_LINE = re.compile(r"^\s{0,100}(?:import|export)", re.MULTILINE)
_UNCHECKED = re.compile(r"^\s*//\s*@ts-nocheck", re.MULTILINE)

_ID = re.compile(r"v\.id\(\s*([\"'`])(\w+)\1\s*\)")
_DB = re.compile(r"ctx\.db\s*\.(query|insert)\(\s*([\"'`])(\w+)\2\s*[,)]")
_TYPE = re.compile(r"(?:Id|Doc)<\s*[\"'](\w+)[\"']\s*>")
_CTX = re.compile(r"\(\s*ctx\s*[,)]")
_NAME = re.compile(r"[\w.$]+$")
_RUN = re.compile(
    r"\.(?:run(?:Query|Mutation|Action)\(|runA(?:fter|t)\([^,;{}]*,"
    r"|(?:interval|hourly|daily|weekly|monthly|cron)\(\s*[\"'][^\"'\n]*[\"']\s*,\s*(?:\{[^{}]*\}|[\"'][^\"'\n]*[\"'])\s*,)"
    r"\s*(\w+)\s*[,)]"
)
_ENV = re.compile(
    r"(?P<before>\$\{\s*|!|\bif\s*\(\s*)?"
    r"process\.env(?:\.(?P<name>\w+)|\[\s*[\"'](?P<key>\w+)[\"']\s*\])(?P<sure>!(?!=))?"
    r"\s*(?P<after>\?(?!\.)|\|\||&&|[!=]==?|\})?"
)
_BOUND: Rule = {"any": [{"kind": "shorthand_property_identifier_pattern"}, {"kind": "identifier"}]}
_ONCE = frozenset({"lexical_declaration", "function_declaration"})
"""Declarations of which a module may have one for each name; a type may have the same name."""
_LONGEST_NAME = 80
"""Characters. A longer name before a call is not looked at whole."""


def read(text: str, suffix: str) -> tuple[Facts, SgNode]:
    """Return what *text*, a file whose name ends in *suffix*, says of itself, and its tree."""
    root = parsed(text, suffix)
    facts = Facts(text, is_module=_MODULE_LINE.search(text) is not None, unchecked=bool(_UNCHECKED.search(text)))
    if (error := first_error(root, text, suffix)) is not None:
        facts.broken = True
        facts.findings = (Finding("syntax", start(error), {"found": _shown(error)}),)
    statements = named(root)
    facts.is_empty = not statements
    facts.imports = tuple(_imports(statements))
    facts.sources = {name: found for found in facts.imports if not found.reexport for name in found.names}
    _read_directives(facts, statements)
    _Declarations(facts).read(root, statements)
    _read_uses(facts)
    facts.index_uses, facts.filter_uses = read_queries(root, text)
    return facts, root


def _shown(error: SgNode) -> str:
    line = error.text().strip().partition("\n")[0]
    return line[:40] or error.kind()


def _imports(statements: list[SgNode]) -> Iterator[Import]:
    for node in statements:
        source = node.field("source") if node.kind() in {"import_statement", "export_statement"} else None
        if (specifier := string_of(source)) is None:
            continue
        found = list(_specifiers(node))
        all_types = any(child.kind() == "type" for child in node.children())
        yield Import(
            specifier,
            start(node),
            {local: original for local, original, _ in found},
            frozenset(local for local, _, is_type in found if is_type or all_types),
            all_types=all_types,
            reexport=node.kind() == "export_statement",
        )


def _specifiers(node: SgNode) -> Iterator[tuple[str, str, bool]]:
    """Yield what an import binds: local name, name where it comes from, and whether it is said to be a type."""
    for clause in named(node):
        match clause.kind():
            case "import_clause" | "named_imports" | "export_clause":
                yield from _specifiers(clause)
            case "identifier":
                yield clause.text(), "default", False
            case "namespace_import":
                yield named(clause)[-1].text(), "*", False
            case "import_specifier" | "export_specifier":
                names = [child.text() for child in named(clause)]
                yield names[-1], names[0], clause.children()[0].kind() == "type"
            case _:
                pass


def _read_directives(facts: Facts, statements: list[SgNode]) -> None:
    for node in statements:
        if node.kind() != "expression_statement" or (text := string_of(named(node)[0])) is None:
            return
        if text == "use node":
            facts.use_node = start(node)


class _Declarations:
    """What the statements at the top of a file declare."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._generated = {
            local: original
            for found in facts.imports
            if SERVER.search(found.specifier)
            for local, original in found.names.items()
        }
        self._functions: dict[str, Function] = {}
        self._exports: dict[str, int] = {}
        self._declared: set[str] = set()
        self._tables: dict[str, Table] = {}
        self._groups: dict[str, Tables] = {}

    def read(self, root: SgNode, statements: list[SgNode]) -> None:
        for node in statements:
            if node.kind() == "export_statement":
                self._export(node)
            else:
                self._declare(node, exported=False)
        facts, declared = self._facts, self._functions.values()
        begun = {function.at for function in declared}
        inline = (function for function in read_inline(root, self._generated) if function.at not in begun)
        facts.exports, facts.functions = self._exports, (*declared, *inline)
        facts.tables, facts.groups = self._tables, self._groups

    def _export(self, node: SgNode) -> None:
        if (value := node.field("value")) is not None:
            self._exports["default"] = start(node)
            self._keep("default", value, exported=True)
        elif (declared := node.field("declaration")) is not None:
            if any(child.kind() == "default" for child in node.children()):
                self._exports["default"] = start(node)
            self._declare(declared, exported=True)
        elif any(child.kind() == "export_clause" for child in named(node)):
            for exported, local, _ in _specifiers(node):
                self._exports[exported] = start(node)
                if node.field("source") is None and local in self._functions:
                    self._functions[local] = replace(self._functions[local], name=exported, exported=True)
        else:
            self._facts.exports_all = True

    def _declare(self, node: SgNode, *, exported: bool) -> None:
        for name, value in _values(node):
            if node.kind() in _ONCE:
                self._once(name, node)
            if exported:
                self._exports[name] = start(node)
            if value is not None:
                self._keep(name, value, exported=exported)

    def _once(self, name: str, node: SgNode) -> None:
        if name in self._declared:
            self._facts.findings += (Finding("declared_twice", start(node), {"name": name}),)
        self._declared.add(name)

    def _keep(self, name: str, value: SgNode, *, exported: bool) -> None:
        if (function := read_function(name, value, self._generated, exported=exported)) is not None:
            self._functions[name] = function
        elif (schema := read_schema(bare(value))) is not None:
            self._facts.schema = schema if self._facts.schema is None else Tables(complete=False)
        elif (table := read_table(value)) is not None:
            self._tables[name] = table
        elif bare(value).kind() == "object" and (group := read_tables(value)) is not None:
            self._groups[name] = group


def _values(node: SgNode) -> Iterator[tuple[str, SgNode | None]]:
    """Yield the names that a statement declares, with what each is set to where that is one expression."""
    match node.kind():
        case "lexical_declaration" | "variable_declaration":
            for declarator in named(node):
                name, value = declarator.field("name"), declarator.field("value")
                if name is None:
                    continue
                if name.kind() == "identifier":
                    yield name.text(), value
                else:
                    for part in name.find_all(**_BOUND):
                        yield part.text(), None
        case "function_declaration" | "generator_function_declaration":
            if (name := node.field("name")) is not None:
                yield name.text(), node
        case _:
            if (name := node.field("name")) is not None:
                yield name.text(), None


def _read_uses(facts: Facts) -> None:
    text = facts.text
    facts.table_uses = tuple(_table_uses(text))
    roots = dict(_api_names(facts))
    facts.api_names = frozenset(roots)
    facts.function_uses = tuple(_function_uses(text, roots))
    near = {function.name for function in facts.functions if function.builder}
    near |= {name for found in facts.imports if found.specifier.startswith(".") for name in found.names}
    facts.calls = tuple(use for use in _calls(text) if use.name in near)
    if "process.env" in text:
        facts.env_uses = tuple(_env_use(found) for found in _ENV.finditer(text))


def _env_use(found: re.Match[str]) -> EnvUse:
    before, after = (found["before"] or "").strip(), found["after"]
    in_text = before == "${" and after == "}"
    return EnvUse(
        found["name"] or found["key"],
        found.start() + len(found["before"] or ""),
        required=in_text or found["sure"] is not None,
        has_fallback=before in {"!", "if ("} or after not in {None, "}"},
    )


def _table_uses(text: str) -> Iterator[TableUse]:
    for found in _ID.finditer(text):
        yield TableUse("id", found[2], found.start())
    for found in _DB.finditer(text):
        yield TableUse(found[1], found[3], found.start())
    if "_generated/dataModel" in text:
        for found in _TYPE.finditer(text):
            if not _continues(text, found.start()):
                yield TableUse("type", found[1], found.start())


def _api_names(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield what `api` and `internal` are called in a file, with which of the two it is."""
    for found in facts.imports:
        if API.search(found.specifier):
            yield from ((local, name) for local, name in found.names.items() if name in {"api", "internal"})


def _function_uses(text: str, roots: Mapping[str, str]) -> Iterator[FunctionUse]:
    for local, original in roots.items():
        for found in re.finditer(rf"{re.escape(local)}((?:\.\w+)+)(?=\s*[,);\]}}])", text):
            if not _continues(text, found.start()):
                yield FunctionUse(original, tuple(found[1][1:].split(".")), found.start())


def _continues(text: str, at: int) -> bool:
    """Say whether what begins at *at* is only the end of a longer name."""
    return at > 0 and (text[at - 1].isalnum() or text[at - 1] in "_$.")


def _calls(text: str) -> Iterator[NameUse]:
    for found in _CTX.finditer(text):
        before = _NAME.search(text[max(0, found.start() - _LONGEST_NAME) : found.start()])
        if before and "." not in before[0]:
            yield NameUse(before[0], found.start() - len(before[0]))
    for found in _RUN.finditer(text):
        yield NameUse(found[1], found.start(1))
