"""Tables as an agent reads them: what the schema declares, what is inferred without one, and how much they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from mcp_convex.convex_api.validators import short_shape, short_validator
from mcp_convex.convex_api.wire import WireTable
from mcp_convex.domain.models import Table


def described(
    names: Iterable[str],
    declared: Mapping[str, WireTable],
    shapes: Mapping[str, JsonValue],
    counts: Mapping[str, int],
) -> tuple[Table, ...]:
    """Return each table, sorted by name."""
    return tuple(
        Table(
            name=name,
            documents=counts.get(name),
            fields=_fields(declared.get(name), shapes.get(name)),
            indexes=declared[name].short_indexes() if name in declared else (),
        )
        for name in sorted(names)
    )


def _fields(declared: WireTable | None, shape: JsonValue) -> str | None:
    if declared:
        return short_validator(declared.document_type)
    return f"inferred {short_shape(shape)}" if shape else None
