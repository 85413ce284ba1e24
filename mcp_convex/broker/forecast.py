"""What going live would make Convex walk: documents read into new indexes, and against changed validators."""

from __future__ import annotations

from collections.abc import Mapping

from mcp_convex.broker.changes import index_label
from mcp_convex.broker.wire import IndexDiff, SchemaForecast
from mcp_convex.domain.pushes import Changes, Walk


def foreseen(changes: Changes, diffs: Mapping[str, IndexDiff], forecast: SchemaForecast) -> Changes:
    """
    Return *changes* with what the deployment says that they would walk.

    An index that is staged is built after the push, which does not wait for it.
    """
    waited_for = {
        (component, index.name) for component, diff in diffs.items() for index in diff.added_indexes if not index.staged
    }
    found = forecast.component_schema_evaluations.items()
    backfills = [
        Walk(name=index_label(component, index), documents=index.num_docs)
        for component, evaluation in found
        for index in evaluation.indexes
        if index.needs_backfill and (component, index.name) in waited_for
    ]
    validated = [
        Walk(name=f"{component}:{table.name}" if component else table.name, documents=table.num_docs)
        for component, evaluation in found
        for table in evaluation.tables
        if table.outcome == "mustWalk"
    ]
    return changes.model_copy(update={"backfills": tuple(backfills), "validated": tuple(validated)})
