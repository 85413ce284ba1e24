"""Inferred schemas in the form of `GET /api/shapes2`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Shape = dict[str, Any]

_NAMES = {
    "string": "String",
    "number": "Float64",
    "float64": "Float64",
    "bigint": "Int64",
    "int64": "Int64",
    "boolean": "Boolean",
    "null": "Null",
    "bytes": "Bytes",
    "array": "Array",
    "object": "Object",
    "id": "Id",
}


def shapes(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Shape]:
    """Return a shape for each of *tables*, as the engine has inferred them."""
    return {name: _table(table) for name, table in tables.items()}


def _table(table: Mapping[str, Any]) -> Shape:
    if not table["count"]:
        return {"type": "Never"}
    fields = [
        {"fieldName": name, "optional": field["optional"], "shape": _union([_shape(kind) for kind in field["types"]])}
        for name, field in sorted(table["fields"].items())
    ]
    return {"type": "Object", "fields": fields}


def _union(found: list[Shape]) -> Shape:
    return found[0] if len(found) == 1 else {"type": "Union", "shapes": found}


def _shape(kind: str) -> Shape:
    name = _NAMES.get(kind, "Unknown")
    match name:
        case "Array":
            return {"type": name, "shape": {"type": "Unknown"}}
        case "Object":
            return {"type": name, "fields": []}
        case _:
            return {"type": name}
