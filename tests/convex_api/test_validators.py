"""Validators as agents read them."""

import pytest

from mcp_convex.convex_api.validators import LONGEST, short_shape, short_validator

STRING = {"type": "string"}


def field(kind, *, optional=False):
    return {"fieldType": kind, "optional": optional}


@pytest.mark.parametrize(
    ("validator", "expected"),
    [
        ({"type": "object", "value": {}}, "{}"),
        (
            {
                "type": "object",
                "value": {
                    "body": field(STRING),
                    "channel": field({"type": "id", "tableName": "channels"}),
                    "tags": field({"type": "array", "value": STRING}, optional=True),
                },
            },
            '{body: string, channel: Id<"channels">, tags?: string[]}',
        ),
        ({"type": "union", "value": [STRING, {"type": "null"}]}, "string | null"),
        ({"type": "array", "value": {"type": "union", "value": [STRING, {"type": "null"}]}}, "(string | null)[]"),
        ({"type": "union", "value": []}, "never"),
        ({"type": "literal", "value": "üm"}, '"üm"'),
        ({"type": "literal", "value": 3}, "3"),
        ({"type": "record", "keys": STRING, "values": field({"type": "number"})}, "Record<string, number>"),
        ({"type": "object", "value": {"a-b": field(STRING)}}, '{"a-b": string}'),
        ({"type": "bigint"}, "bigint"),
        ({"type": "any"}, "any"),
        (None, "any"),
        ({"type": "object", "value": {"odd": None}}, "{}"),
        (["nonsense"], "any"),
    ],
)
def test_a_validator_is_short(validator, expected):
    assert expected == short_validator(validator)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (
            {
                "type": "Object",
                "fields": [
                    {"fieldName": "_id", "optional": False, "shape": {"type": "Id", "tableName": "notes"}},
                    {"fieldName": "_creationTime", "optional": False, "shape": {"type": "Float64"}},
                    {"fieldName": "text", "optional": True, "shape": {"type": "String"}},
                ],
            },
            "{text?: string}",
        ),
        ({"type": "Union", "shapes": [{"type": "Int64"}, {"type": "Bytes"}]}, "bigint | bytes"),
        ({"type": "Array", "shape": {"type": "Boolean"}}, "boolean[]"),
        (
            {
                "type": "Record",
                "keyShape": {"type": "String"},
                "valueShape": {"optional": False, "shape": {"type": "Null"}},
            },
            "Record<string, null>",
        ),
        ({"type": "Never"}, "never"),
        ({"type": "Unknown"}, "any"),
        (7, "any"),
    ],
)
def test_an_inferred_shape_reads_like_a_validator(shape, expected):
    assert expected == short_shape(shape)


def test_a_long_validator_is_cut_with_a_mark():
    many = {"type": "object", "value": {f"field{i}": field(STRING) for i in range(1000)}}

    short = short_validator(many)

    assert LONGEST == len(short)
    assert short.endswith("…")
