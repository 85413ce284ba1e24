"""Validators, and the shapes that Convex infers from documents, as short as TypeScript would write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from pydantic import JsonValue

LONGEST = 1_000
"""Characters of one validator in short; the rest is left out behind a `…`."""

_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*")
_SYSTEM_FIELDS = frozenset({"_id", "_creationTime"})
_PLAIN_SHAPES = {
    "Null": "null",
    "Int64": "bigint",
    "Float64": "number",
    "Boolean": "boolean",
    "String": "string",
    "Bytes": "bytes",
    "Never": "never",
}


def short_validator(validator: JsonValue) -> str:
    """Return *validator*, in the JSON that `v.object()` exports, such as `{body: string, tags?: string[]}`."""
    return _cut(_validator(validator))


def short_shape(shape: JsonValue) -> str:
    """Return a shape, as `GET /api/shapes2` infers it, in the form of `short_validator`, without the system fields."""
    return _cut(_shape(shape))


def _validator(validator: JsonValue) -> str:  # noqa: PLR0911 - a table
    match validator:
        case {"type": "object", "value": dict(fields)}:
            return _object(_declared(fields))
        case {"type": "array", "value": item}:
            return _array(_validator(item))
        case {"type": "union", "value": list(members)}:
            return _union(map(_validator, members))
        case {"type": "record", "keys": keys, "values": {"fieldType": values}}:
            return f"Record<{_validator(keys)}, {_validator(values)}>"
        case {"type": "id", "tableName": table}:
            return f'Id<"{table}">'
        case {"type": "literal", "value": value}:
            return json.dumps(value, ensure_ascii=False)
        case {"type": str(plain)}:
            return plain
        case _:
            return "any"


def _shape(shape: JsonValue) -> str:  # noqa: PLR0911 - a table
    match shape:
        case {"type": "Object", "fields": list(fields)}:
            return _object(_inferred(fields))
        case {"type": "Array" | "Set", "shape": item}:
            return _array(_shape(item))
        case {"type": "Union", "shapes": list(members)}:
            return _union(map(_shape, members))
        case {"type": "Record", "keyShape": keys, "valueShape": {"shape": values}}:
            return f"Record<{_shape(keys)}, {_shape(values)}>"
        case {"type": "Id", "tableName": table}:
            return f'Id<"{table}">'
        case {"type": str(plain)}:
            return _PLAIN_SHAPES.get(plain, "any")
        case _:
            return "any"


def _declared(fields: dict[str, JsonValue]) -> Iterator[str]:
    for name, field in fields.items():
        if isinstance(field, dict) and "fieldType" in field:
            yield _field(name, _validator(field["fieldType"]), optional=bool(field.get("optional")))


def _inferred(fields: list[JsonValue]) -> Iterator[str]:
    for field in fields:
        if isinstance(field, dict) and "shape" in field and field.get("fieldName") not in _SYSTEM_FIELDS:
            yield _field(str(field.get("fieldName")), _shape(field["shape"]), optional=bool(field.get("optional")))


def _field(name: str, kind: str, *, optional: bool) -> str:
    key = name if _IDENTIFIER.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    return f"{key}{'?' if optional else ''}: {kind}"


def _object(fields: Iterable[str]) -> str:
    return "{" + ", ".join(fields) + "}"


def _array(item: str) -> str:
    return f"({item})[]" if " | " in item else f"{item}[]"


def _union(members: Iterable[str]) -> str:
    return " | ".join(members) or "never"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def short_index(name: str, fields: Iterable[str]) -> str:
    """Return a database index such as `by_channel(channelId, _creationTime)`."""
    listed = [field for field in fields if field != "_creationTime"]
    return f"{name}({', '.join([*listed, '_creationTime'])})"


def short_search(name: str, field: str, filters: Iterable[str]) -> str:
    """Return a search index such as `by_body search(body) filter(channelId)`."""
    return f"{name} search({field}){_filter(filters)}"


def short_vector(name: str, field: str, dimensions: int, filters: Iterable[str]) -> str:
    """Return a vector index such as `by_embedding vector(embedding, 1536)`."""
    return f"{name} vector({field}, {dimensions}){_filter(filters)}"


def _filter(fields: Iterable[str]) -> str:
    listed = ", ".join(fields)
    return f" filter({listed})" if listed else ""
