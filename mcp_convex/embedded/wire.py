"""JSON as Convex writes it: its own numbers and bytes, and objects that come from outside."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any


def fields(value: Any) -> dict[str, Any]:
    """Return the fields of *value* if it is a JSON object; anything else has none."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]  # unknown as Any is


def items(value: Any) -> list[Any]:
    """Return the items of *value* if it is a JSON array; anything else has none."""
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]  # unknown as Any is


def encoded_ts(ts: int) -> str:
    """Return *ts*, nanoseconds, as the sync protocol writes it."""
    return base64.b64encode(struct.pack("<Q", ts)).decode()


def integer(value: int) -> dict[str, str]:
    """Return *value* as the JSON of a Convex Int64."""
    return {"$integer": base64.b64encode(struct.pack("<q", value)).decode()}


def plain(value: Any) -> Any:
    """Return Convex's JSON as the JSON that other languages expect: integers, odd numbers and bytes as strings."""
    match value:
        case {"$integer": str(encoded)}:
            return str(struct.unpack("<q", base64.b64decode(encoded))[0])
        case {"$float": str(encoded)}:
            return json.dumps(struct.unpack("<d", base64.b64decode(encoded))[0])
        case {"$bytes": str(encoded)}:
            return encoded
        case dict():
            return {name: plain(item) for name, item in fields(value).items()}
        case list():
            return [plain(item) for item in items(value)]
        case _:
            return value
