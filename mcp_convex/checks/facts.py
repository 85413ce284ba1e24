"""What one file declares and uses, as far as other files or its place in the project matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mcp_convex.domain.pushes import Diagnostic

Kind = Literal["query", "mutation", "action", "http"]
At = int
"""A place in a file: characters from its beginning. It does not count where two readings of a file are compared."""


@dataclass(frozen=True, slots=True)
class Finding:
    """That a rule is broken at a place. *values* fill the braces in the rule's message and hint."""

    rule: str
    at: At
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    doubtful: bool = False
    """A push or a run need not fail here, although it must where the rule is sure."""


@dataclass(frozen=True, slots=True)
class Import:
    specifier: str
    at: At = field(compare=False)
    names: Mapping[str, str]
    """Local names to what they are called where they come from; `*` for the module, `default` for its default."""
    types: frozenset[str] = frozenset()
    """The local names that are imported as types."""
    all_types: bool = False
    """It is an `import type`, or an `export type`."""
    reexport: bool = False

    @property
    def types_only(self) -> bool:
        """Say whether nothing of it is left when the program runs."""
        return self.all_types or (bool(self.names) and self.types >= self.names.keys())


@dataclass(frozen=True, slots=True)
class Function:
    """A registered function, or a plain one that takes such a function's `ctx`."""

    name: str
    """Empty for one that is made where it is used."""
    at: At = field(compare=False)
    kind: Kind
    builder: str
    """The name of what registers it, `internalQuery`; empty for a plain function."""
    end: At = field(compare=False)
    ctx: str | None = None
    """What its first parameter is called, where that is one name."""
    has_args: bool = False
    """It has an argument validator."""
    takes_args: bool = False
    """Its handler has a second parameter."""
    is_object: bool = True
    """It is registered with an object, not with a bare function."""
    exported: bool = False

    @property
    def public(self) -> bool:
        """Say whether anybody on the internet can call it."""
        return self.builder in {"query", "mutation", "action"}


@dataclass(frozen=True, slots=True)
class Index:
    name: str
    at: At = field(compare=False)
    fields: tuple[str, ...] | None
    """None where they are not written out."""
    method: str = "index"
    staged: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    at: At = field(compare=False)
    indexes: tuple[Index, ...] = ()
    fields: frozenset[str] | None = None
    """The names at the top of a document; None where they are not written out."""
    complete: bool = True
    """No index can come from elsewhere."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A table that stands elsewhere under *name*."""

    name: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A table in a schema; None where it is not written out."""

    name: str
    at: At = field(compare=False)
    table: Table | Reference | None


@dataclass(frozen=True, slots=True)
class Tables:
    """An object of tables: a schema's own, or a part that schemas spread."""

    entries: tuple[Entry, ...] = ()
    spreads: tuple[str, ...] = ()
    """The names of other such objects that it spreads."""
    complete: bool = True
    """No table can come from elsewhere."""


@dataclass(frozen=True, slots=True)
class TableUse:
    """A table's name in code: how it is used (`id`, `query`, `insert`, `type`)."""

    how: str
    table: str
    at: At


@dataclass(frozen=True, slots=True)
class IndexUse:
    """A query on an index: its table, its name, and the fields of the range in their order; None where unclear."""

    table: str | None
    index: str
    method: str
    at: At
    range: tuple[tuple[str, str], ...] | None


@dataclass(frozen=True, slots=True)
class FilterUse:
    """A `.filter` on a whole table, with the fields that it wants equal to something."""

    table: str | None
    at: At
    equal: tuple[str, ...]
    indexed: bool
    """Before it, an index or another filter has narrowed the table."""


@dataclass(frozen=True, slots=True)
class FunctionUse:
    """A function named through `api` or `internal`."""

    root: str
    path: tuple[str, ...]
    at: At


@dataclass(frozen=True, slots=True)
class NameUse:
    name: str
    at: At


@dataclass(frozen=True, slots=True)
class EnvUse:
    name: str
    at: At
    required: bool
    """It is used as it is, such as in a text."""
    has_fallback: bool
    """The code does without it, or looks whether it is there."""


@dataclass(slots=True)
class Facts:
    """One file, read."""

    text: str
    findings: tuple[Finding, ...] = ()
    """What is wrong wherever the file stands."""
    broken: bool = False
    """It does not parse, so that nothing can be said of what it lacks."""
    is_module: bool = True
    """A line begins with import or export, without which the CLI passes a .ts file by."""
    is_empty: bool = False
    use_node: At | None = None
    unchecked: bool = False
    """It tells the compiler not to look."""
    imports: tuple[Import, ...] = ()
    sources: Mapping[str, Import] = field(default_factory=dict[str, Import])
    """The import that each name comes from."""
    exports: Mapping[str, At] = field(default_factory=dict[str, At])
    exports_all: bool = False
    """It exports more than what is written out."""
    functions: tuple[Function, ...] = ()
    tables: Mapping[str, Table] = field(default_factory=dict[str, Table])
    groups: Mapping[str, Tables] = field(default_factory=dict[str, Tables])
    schema: Tables | None = None
    unguarded: tuple[Function, ...] = ()
    """Public mutations that write and do not look who asks."""
    looks_who_asks: bool = False
    table_uses: tuple[TableUse, ...] = ()
    index_uses: tuple[IndexUse, ...] = ()
    filter_uses: tuple[FilterUse, ...] = ()
    api_names: frozenset[str] = frozenset()
    """What `api` and `internal` are called in it."""
    circular: bool = False
    """The compiler may infer from these what one of its functions returns, which they are made of."""
    function_uses: tuple[FunctionUse, ...] = ()
    calls: tuple[NameUse, ...] = ()
    """Names that are called with `ctx`, or handed to `ctx.runQuery` and its like."""
    env_uses: tuple[EnvUse, ...] = ()
    backend: At | None = None
    """Outside of the functions' folder, where it has a schema or a function nevertheless."""
    used: frozenset[str] | None = None
    """The names that stand for values; None until somebody asks."""
    told: dict[tuple[object, ...], Diagnostic | None] = field(
        default_factory=dict[tuple[object, ...], "Diagnostic | None"]
    )
    """What was said of findings before."""
    hidden: tuple[tuple[At, At], ...] | None = None
    """Where comments and the texts of strings begin and end; None until somebody asks."""
