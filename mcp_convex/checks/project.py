"""The files of a workspace as one: where its functions live, which module is which, and what the schema holds."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mcp_convex.checks.facts import Entry, Facts, Function, Import, Index, Reference, Table, Tables
from mcp_convex.checks.syntax import parsed, values

_ENTRY_SUFFIXES = (".js", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".jsx")
_RESOLVED = (".ts", ".tsx", ".js", ".jsx", ".mts", ".mjs", ".cts", ".cjs", ".json")
_WRITTEN_AS = {".js": (".ts", ".tsx"), ".jsx": (".tsx",), ".mjs": (".mts",), ".cjs": (".cts",)}
_CONFIGURATION = frozenset({"schema", "auth.config", "convex.config"})
_AUTH = "@convex-dev/auth/server"
_AUTH_TABLES = frozenset(
    {
        "users",
        "authSessions",
        "authAccounts",
        "authRefreshTokens",
        "authVerificationCodes",
        "authVerifiers",
        "authRateLimits",
    }
)
"""What `authTables` of `@convex-dev/auth` 0.0.95 adds to a schema."""
_MOST_TYPED = 500
"""Modules. Beyond that the compiler may find `api` too deep (TS2589), and check no names."""
_TYPED = frozenset({".ts", ".tsx", ".mts", ".cts"})
_SEEN = (
    *("imports", "functions", "schema", "tables", "groups", "exports_all"),
    *("is_module", "broken", "circular", "looks_who_asks"),
)
"""What other files look at in one, besides what it exports, whether it is for Node, and what it uses."""
SYSTEM_TABLES = frozenset({"_storage", "_scheduled_functions", "_users"})


@dataclass(frozen=True, eq=False)
class Module:
    path: str
    """From the workspace's root."""
    name: str
    """From its folder, without the ending: `messages`, `lib/names`."""
    suffix: str
    facts: Facts

    @cached_property
    def folder(self) -> str:
        return posixpath.dirname(self.path)

    @cached_property
    def is_pushed(self) -> bool:
        """Say whether a push takes it as it is: tests and the like stand beside the functions and stay behind."""
        return self.is_entry or self.name in _CONFIGURATION

    @cached_property
    def is_entry(self) -> bool:
        """Say whether the CLI takes it for a module of functions."""
        base = posixpath.basename(self.path)
        if not base.endswith(_ENTRY_SUFFIXES) or base.startswith((".", "#")) or base.count(".") > 1:
            return False
        if base in {"schema.ts", "schema.js"} or " " in self.name:
            return False
        return self.suffix not in {".ts", ".tsx"} or self.facts.is_module


Typing = Literal["strict", "lenient", "none"]
"""How the compiler looks at functions that are pushed; `lenient`, an internal reference may stand for a public one."""

GIVEN = {"by_id": Index("by_id", 0, ("_id",)), "by_creation_time": Index("by_creation_time", 0, ())}
"""Indexes that every table has."""


@dataclass(frozen=True)
class Schema:
    """What tables there are; *complete* where no other can come from what is not written out."""

    module: Module
    tables: Mapping[str, Table | None]
    complete: bool
    _indexes: dict[tuple[str, str], Mapping[str, Index]] = field(
        default_factory=dict[tuple[str, str], Mapping[str, Index]]
    )

    def indexes(self, name: str, method: str) -> Mapping[str, Index]:
        """Return the indexes of one kind that queries of the table *name* can take, by their names."""
        if (name, method) not in self._indexes:
            table = self.tables.get(name)
            own = {index.name: index for index in (table.indexes if table else ()) if index.method == method}
            self._indexes[name, method] = GIVEN | own if method == "index" else own
        return self._indexes[name, method]


@dataclass
class Folder:
    """One folder of functions: the app's, or that of a component in it. It has a schema and an `api` of its own."""

    path: str
    modules: Mapping[str, Module]
    """By path."""
    files: Collection[str]
    """Every path of the workspace."""
    packages: frozenset[str] = frozenset()
    """What package.json names as dependencies."""
    env_vars: frozenset[str] | None = None
    """The names that are set; None where that is not known."""
    typing: Typing = "strict"
    resolved: dict[tuple[str, str], str | None] = field(default_factory=dict[tuple[str, str], str | None])
    """What `resolve` found, which holds as long as *files* does."""

    def is_like(self, other: Folder) -> bool:
        """Say whether each file finds around it what it would find in *other*."""
        if (self.path, self.typing, self.env_vars) != (other.path, other.typing, other.env_vars):
            return False
        if (self.modules.keys(), self.packages, self.files) != (other.modules.keys(), other.packages, other.files):
            return False
        pairs = zip(self.modules.values(), map(other.modules.__getitem__, self.modules), strict=True)
        return all(mine is theirs or _alike(theirs, mine) for mine, theirs in pairs)

    @cached_property
    def by_name(self) -> Mapping[str, Module]:
        return {module.name: module for module in self.modules.values()}

    @cached_property
    def entries(self) -> Mapping[str, Module]:
        """The modules of functions by their names; of two with one name, the first."""
        return {module.name: module for module in reversed([*self.modules.values()]) if module.is_entry}

    @cached_property
    def pushed(self) -> tuple[Module, ...]:
        return tuple(module for module in self.modules.values() if module.is_pushed)

    def checks_types_of(self, module: Module) -> bool:
        """Say whether the compiler must refuse what does not fit the types in *module*."""
        return self.typing != "none" and module.suffix in {".ts", ".tsx"} and not module.facts.unchecked

    def refuses_types_of(self, module: Module) -> bool:
        """Say whether the compiler must refuse what has no type in *module*, or a function of the other visibility."""
        return self.typing == "strict" and self.checks_types_of(module) and len(self.pushed) <= _MOST_TYPED

    @cached_property
    def keeps_types(self) -> bool:
        """
        Say whether the compiler knows what `api` and `internal` hold.

        Where one function's type goes in a circle through them, it complains of that alone, and lets every name pass.
        """
        return not any(module.facts.circular for module in self.pushed)

    @cached_property
    def _folders(self) -> frozenset[str]:
        return frozenset(folder for name in self.by_name for folder in _parents(name))

    def has_folder(self, parts: tuple[str, ...]) -> bool:
        """Say whether modules lie below *parts*."""
        return "/".join(parts) in self._folders

    def resolve(self, module: Module, specifier: str) -> str | None:
        """Return the path of the file that *module* means by a relative *specifier*, or None if there is none."""
        key = module.folder, specifier
        if key not in self.resolved:
            self.resolved[key] = self._find(posixpath.normpath(posixpath.join(*key)))
        return self.resolved[key]

    def _find(self, target: str) -> str | None:
        stem, ending = posixpath.splitext(target)
        candidates = (
            target,
            *(stem + written for written in _WRITTEN_AS.get(ending, ())),
            *(target + ending for ending in _RESOLVED),
            *(f"{target}/index{ending}" for ending in _RESOLVED),
        )
        return next((path for path in candidates if path in self.files), None)

    def is_component(self, path: str) -> bool:
        """Say whether the folder at *path* is a component's, which has generated code of its own."""
        return any(f"{path}/convex.config{ending}".removeprefix("/") in self.files for ending in (".ts", ".js"))

    @cached_property
    def imported_files(self) -> frozenset[str | None]:
        """Every file that another one imports."""
        return frozenset(
            self.resolve(module, found.specifier)
            for module in self.modules.values()
            for found in module.facts.imports
            if found.specifier.startswith(".")
        )

    def imported(self, module: Module, name: str) -> tuple[Module, str] | None:
        """Return the module that *module* has *name* from, and what it is called there; None where that is unclear."""
        found = module.facts.sources.get(name)
        source = self.source(module, found) if found else None
        return (source, found.names[name]) if found and source else None

    def source(self, module: Module, found: Import) -> Module | None:
        """Return the module that *found*, an import of *module*, imports from; None if it is none of the folder's."""
        path = self.resolve(module, found.specifier) if found.specifier.startswith(".") else None
        return self.modules.get(path) if path else None

    def function(self, module: Module, name: str) -> Function | None:
        """Return the registered function that *name* is in *module*."""
        own = next((each for each in module.facts.functions if each.name == name and each.builder), None)
        if own is not None or (found := self.imported(module, name)) is None:
            return own
        source, original = found
        return next((each for each in source.facts.functions if each.name == original and each.builder), None)

    @cached_property
    def schema(self) -> Schema | None:
        """Return the schema, or None where there is none that can be read."""
        module = self.by_name.get("schema")
        if module is None or module.facts.broken or module.facts.schema is None:
            return None
        tables: dict[str, Table | None] = {}
        complete = self._gather(module, module.facts.schema, tables, depth=0)
        return Schema(module, tables, complete)

    @cached_property
    def has_guards(self) -> bool:
        """Say whether the app knows who is asking: it has users, and functions that look."""
        if self.schema is None or "users" not in self.schema.tables:
            return False
        return any(module.facts.looks_who_asks for module in self.pushed)

    @cached_property
    def schema_cycle(self) -> Sequence[tuple[Module, Import]]:
        """Return the imports, each with its file, by which the schema comes back to itself; none if it does not."""
        schema = self.by_name.get("schema")
        return self._way(schema, schema, set()) if schema else ()

    def _way(self, module: Module, schema: Module, seen: set[str]) -> list[tuple[Module, Import]]:
        for found in module.facts.imports:
            if "_generated" in found.specifier or not found.specifier.startswith(".") or not self.uses(module, found):
                continue
            other = self.source(module, found)
            if other is schema:
                return [(module, found)]
            if other is None or other.path in seen:
                continue
            seen.add(other.path)
            if rest := self._way(other, schema, seen):
                return [(module, found), *rest]
        return []

    def _gather(self, module: Module, group: Tables, tables: dict[str, Table | None], depth: int) -> bool:
        if depth > 5:  # noqa: PLR2004 - a spread of spreads of spreads is no schema that a person wrote
            return False
        complete = group.complete
        tables.update(self._entries(module, group.entries))
        for spread in group.spreads:
            complete &= self._spread(module, spread, tables, depth)
        return complete

    def _spread(self, module: Module, name: str, tables: dict[str, Table | None], depth: int) -> bool:
        if name in module.facts.groups:
            return self._gather(module, module.facts.groups[name], tables, depth + 1)
        if any(name in found.names and found.specifier == _AUTH for found in module.facts.imports):
            tables.update({table: None for table in _AUTH_TABLES if table not in tables})
            return True
        if (found := self.imported(module, name)) is None:
            return False
        source, original = found
        group = source.facts.groups.get(original)
        return group is not None and self._gather(source, group, tables, depth + 1)

    def _entries(self, module: Module, entries: tuple[Entry, ...]) -> Iterator[tuple[str, Table | None]]:
        for entry in entries:
            table = entry.table
            yield entry.name, self._table(module, table) if isinstance(table, Reference) else table

    def _table(self, module: Module, reference: Reference) -> Table | None:
        if reference.name in module.facts.tables:
            return module.facts.tables[reference.name]
        found = self.imported(module, reference.name)
        return found[0].facts.tables.get(found[1]) if found else None

    def uses(self, module: Module, found: Import) -> bool:
        """Say whether *found* is left when the program runs: of TypeScript, the bundler drops what only types need."""
        if found.types_only:
            return False
        if module.suffix not in _TYPED:
            return True
        values = found.names.keys() - found.types
        return found.reexport or not values or not values.isdisjoint(_used(module.facts, module.suffix))


def _parents(name: str) -> Iterator[str]:
    while name := posixpath.dirname(name):
        yield name


def _alike(was: Module, now: Module) -> bool:
    """Say whether others see the same in both, which are readings of one file."""
    before, after = was.facts, now.facts
    if before.exports.keys() != after.exports.keys() or (before.use_node is None) != (after.use_node is None):
        return False
    if any(getattr(before, name) != getattr(after, name) for name in _SEEN):
        return False
    names = after.sources.keys()
    return before.used is None or before.used & names == _used(after, now.suffix) & names


def _used(facts: Facts, suffix: str) -> frozenset[str]:
    if facts.used is None:
        facts.used = frozenset(values(parsed(facts.text, suffix)))
    return facts.used
