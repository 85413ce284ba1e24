"""Which pushes wait for a person's consent, and what it is that they have to agree to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from mcp_convex.domain.models import ConvexFunction
from mcp_convex.domain.ports.checks import QueriedIndex
from mcp_convex.domain.pushes import Changes, Diagnostic

LARGE_TABLE = 100_000
"""Documents from which on an index makes a push wait for long (the CLI's own bound for its warning)."""
_MOST_NAMES = 20


def consent_needed(
    changes: Changes, agreed: Collection[str], live: Collection[ConvexFunction], queried: Collection[QueriedIndex] = ()
) -> tuple[Diagnostic, ...]:
    """
    Return what the push would do that a person has to agree to first, but for the messages that they *agreed* to.

    Public functions that disappear or become internal count only where it is known what is *live*:
    clients may still call them. Internal ones are the app's own business, and so are indexes
    that go, unless they are among *queried*: then the functions that ask for them would fail.
    """
    needed = (*_removals(changes, live), *_dropped(changes, queried), *_backfills(changes))
    return tuple(diagnostic for diagnostic in needed if diagnostic.message not in agreed)


def _removals(changes: Changes, live: Collection[ConvexFunction]) -> Iterator[Diagnostic]:
    public = {function.name for function in live if function.visibility == "public"}
    if gone := [name for name in changes.functions.removed if name in public]:
        yield Diagnostic(
            code="functions_removed",
            message=f"The push removes public functions that are live: {_listed(gone)}.",
            hint="Put them back, or have the person agree that whoever calls them will fail.",
            source="convex",
        )
    if hidden := changes.functions.made_internal:
        yield Diagnostic(
            code="functions_made_internal",
            message=f"The push makes public functions internal: {_listed(hidden)}.",
            hint="Keep them public, or have the person agree that clients which call them will fail.",
            source="convex",
        )


def _dropped(changes: Changes, queried: Collection[QueriedIndex]) -> Iterator[Diagnostic]:
    kept = {*map(_index, changes.indexes.added)}  # one whose fields change goes and comes
    gone = (index for index in map(_index, changes.indexes.removed) if index not in kept)
    asking = {index: sorted({use.file for use in queried if _asks_for(use, index)}) for index in gone}
    if missed := {index: files for index, files in asking.items() if files}:
        named = _first([f"`{index}` in {_listed(files)}" for index, files in missed.items()], "; ")
        yield Diagnostic(
            file=next(iter(missed.values()))[0],
            code="indexes_removed",
            message=f"The push drops indexes that the code still asks for: {named}.",
            hint="Put them back into convex/schema.ts, or have the functions that ask for them use others.",
            source="convex",
        )


def _index(label: str) -> str:
    """Return `messages.by_channel` of `messages.by_channel(channelId)`."""
    return label.partition("(")[0]


def _asks_for(use: QueriedIndex, index: str) -> bool:
    """Say whether *use*, which is the app's own code, needs *index*; those of components have a path before them."""
    table, _, name = index.partition(".")
    return ":" not in table and use.name == name and use.table in {table, None}


def _backfills(changes: Changes) -> Iterator[Diagnostic]:
    if labels := [walk.name for walk in changes.backfills if walk.documents >= LARGE_TABLE]:
        yield Diagnostic(
            code="large_index",
            message=f"The push builds indexes on tables of {LARGE_TABLE:,} documents or more: {_listed(labels)}.",
            hint="Stage them (`{ fields, staged: true }`), or have the person agree to wait until they are built.",
            source="convex",
        )


def _listed(names: Sequence[str]) -> str:
    return _first([f"`{name}`" for name in names], ", ")


def _first(parts: Sequence[str], between: str) -> str:
    shown = between.join(parts[:_MOST_NAMES])
    return shown if len(parts) <= _MOST_NAMES else f"{shown} and {len(parts) - _MOST_NAMES} more"
