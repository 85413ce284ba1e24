"""Any text at all: cut off, garbled, enormous. Nothing raises, and what comes back is bounded."""

from __future__ import annotations

import random

import pytest

from mcp_convex.domain.diagnostics import from_schema_failure, from_server, parse_output
from mcp_convex.domain.pushes import Diagnostic
from tests.domain.diagnostics.readings import OUTPUTS, ROOT, output


def check(diagnostics: tuple[Diagnostic, ...]) -> None:
    assert len(diagnostics) <= 50
    assert all(0 < len(each.message) <= 2_000 for each in diagnostics)
    assert all("\n" not in each.snippet and len(each.snippet) <= 300 for each in diagnostics if each.snippet)
    assert all(each.line is None or each.line > 0 for each in diagnostics)


def garbled(text: str, chance: random.Random) -> str:
    """Cut *text* somewhere, and replace, repeat or drop some of its pieces."""
    text = text[: chance.randrange(len(text) + 1)]
    for _ in range(chance.randrange(8)):
        start, end = sorted(chance.randrange(len(text) + 1) for _ in range(2))
        part = text[start : min(end, start + 200)]
        noise = chance.choice(["", part * 3, "\x00\x1b[", "\ud800", "\r", ":1:1", "✖ ", "`", '"', "TS1234:"])
        text = text[:start] + noise + text[start + len(part) :]
    return text


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_garbled_output_is_read_without_failing(name):
    chance = random.Random(name)  # noqa: S311  # not for secrets
    for _ in range(20):
        text = garbled(output(name), chance)
        failure, diagnostics = parse_output(text, chance.choice([None, "", "/", ROOT]))
        check(diagnostics)
        assert bool(diagnostics) == (failure is not None)
        check(from_server(chance.choice([None, "InvalidModules", text[:50]]), text, chance.choice([None, 400, 503]))[1])
        check(from_schema_failure(text, None, "")[1])


@pytest.mark.parametrize(
    "piece",
    [
        "convex/a.ts:1:1 - error TS2345: x '\"a\"'\n\n1 foo\n  ~\n   a:1:1\n   b\n",
        "a(1,1): error TS2322: x\n  y\n",
        "- Preparing Convex functions...\n✖ TypeError: nope\n",
        "✘ [ERROR] [a x\n    a:1:1:\n      1 │ aa\n",
        "✖ Error fetching POST  http://x 400 Bad Request: InvalidModules: a\n    at (a:1:1",
        "`a` does not match literal validator `",
        "\x1b[1\x1b]",
        "TS2345:",
    ],
)
def test_five_megabytes_of_anything_are_read_in_one_pass(piece):
    """A pattern that backtracks would not come back at all."""
    text = piece * (5_000_000 // len(piece))

    check(parse_output(text, ROOT)[1])
    check(from_server("InvalidModules", text, 400)[1])
    check(from_schema_failure(f'Document with ID "x" in table "t" does not match the schema: {text}', None, "")[1])


def test_beyond_fifty_the_last_one_counts_the_rest():
    diagnostics = parse_output(output("tsc_hundred_ts7"), ROOT)[1]

    assert (50, "note", "71 more were left out.") == (
        len(diagnostics),
        diagnostics[-1].severity,
        diagnostics[-1].message,
    )


def test_errors_come_before_warnings():
    diagnostics = parse_output(output("esbuild_case_mismatch"), ROOT)[1]

    assert ["error", "warning"] == [diagnostic.severity for diagnostic in diagnostics]


def test_what_is_printed_twice_is_told_once():
    diagnostics = parse_output(output("tsc_bad_config_ts7"), ROOT)[1]

    assert len(set(diagnostics)) == len(diagnostics)
