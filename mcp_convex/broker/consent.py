"""Which pushes wait for a person's consent, and what it is that they have to agree to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mcp_convex.broker.changes import index_label
from mcp_convex.broker.wire import IndexDiff, SchemaForecast
from mcp_convex.domain.ports import PushTerms
from mcp_convex.domain.pushes import Changes, Diagnostic

LARGE_TABLE = 100_000
"""Documents from which on an index makes a push wait for long (the CLI's own bound for its warning)."""
_MOST_NAMES = 20


def consent_needed(changes: Changes, terms: PushTerms, backfills: Sequence[str]) -> tuple[Diagnostic, ...]:
    """
    Return what the push would do that a person has to agree to first; nothing once they have.

    Public functions that disappear count only where the caller said what is live: clients may
    still call them. Internal ones, and indexes that go, are the app's own business.

    Args:
        changes: What the push would do.
        terms: What it may do.
        backfills: The indexes that it would build on large tables.
    """
    if terms.consented:
        return ()
    needed = (*_removals(changes, terms), *_backfills(backfills))
    return tuple(diagnostic for diagnostic in needed if diagnostic.message not in terms.agreed)


def _removals(changes: Changes, terms: PushTerms) -> Iterator[Diagnostic]:
    public = {function.name for function in terms.live_functions or () if function.visibility == "public"}
    if gone := [name for name in changes.functions.removed if name in public]:
        yield Diagnostic(
            code="functions_removed",
            message=f"The push removes public functions that are live: {_listed(gone)}.",
            hint="Put them back, or have the person agree that whoever calls them will fail.",
            source="convex",
        )


def _backfills(labels: Sequence[str]) -> Iterator[Diagnostic]:
    if labels:
        yield Diagnostic(
            code="large_index",
            message=f"The push builds indexes on tables of {LARGE_TABLE:,} documents or more: {_listed(labels)}.",
            hint="Stage them (`{ fields, staged: true }`), or have the person agree to wait until they are built.",
            source="convex",
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"


def large_backfills(added: dict[str, IndexDiff], forecast: SchemaForecast) -> tuple[str, ...]:
    """Return the labels of the *added* indexes that stand on large tables and hold the push up."""
    waited_for = {
        (component, index.name) for component, diff in added.items() for index in diff.added_indexes if not index.staged
    }
    return tuple(
        index_label(component, index)
        for component, found in forecast.component_schema_evaluations.items()
        for index in found.indexes
        if index.num_docs >= LARGE_TABLE and (component, index.name) in waited_for
    )
