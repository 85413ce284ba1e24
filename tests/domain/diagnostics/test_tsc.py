"""The compiler's output as the CLI passes it on: in pieces, with line feeds where there were none."""

from __future__ import annotations

import random
import re

import pytest

from mcp_convex.domain.diagnostics import parse_output
from tests.domain.diagnostics.readings import ROOT, output, places

_PIECE = re.compile(r"\x1b\[[0-9;]*m")


def in_pieces(text: str, chance: random.Random) -> str:
    """Break *text* as the CLI does: between writes, each without its trailing blanks."""
    ends = [piece.end() for piece in _PIECE.finditer(text) if chance.random() < 0.3]
    pieces = [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]
    return "\n".join(piece.rstrip() for piece in pieces)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", ["tsc_many_ts7", "tsc_many_ts5", "tsc_convex_ts7", "tsc_outside_ts7"])
def test_diagnostics_are_found_wherever_the_output_is_broken(name, seed):
    whole = output(name)
    broken = in_pieces(whole, random.Random(seed))  # noqa: S311  # not for secrets

    assert places(parse_output(whole, ROOT)[1]) == places(parse_output(broken, ROOT)[1])


def test_an_output_without_colours_says_the_same():
    coloured = output("tsc_many_ts7")

    assert parse_output(coloured, ROOT) == parse_output(_PIECE.sub("", coloured), ROOT)


@pytest.mark.parametrize("name", ["tsc_chain", "tsc_chain_plain", "tsc_convex", "tsc_many", "tsc_outside"])
def test_both_compilers_are_read_alike(name):
    five, seven = (parse_output(output(f"{name}_ts{version}"), ROOT)[1] for version in (5, 7))

    assert [(each.file, each.line) for each in five] == [(each.file, each.line) for each in seven]


def test_the_chain_of_reasons_stays_with_the_message():
    first = parse_output(output("tsc_chain_ts7"), ROOT)[1][0]

    assert 8 == len(first.message.splitlines())
    assert first.message.endswith("              Type 'string' is not assignable to type 'number'.")


@pytest.mark.parametrize("version", [5, 7])
def test_a_related_place_is_told_with_the_message(version):
    last = parse_output(output(f"tsc_many_ts{version}"), ROOT)[1][-1]

    assert "convex/bad.ts:35:28: The expected type comes from property 'c'" in last.message


def test_a_long_line_is_cut_around_its_column():
    last = parse_output(f"convex/a.ts:1:5000 - error TS2322: No.\n\n1 {'x' * 4_990}here{'y' * 900}\n", ROOT)[1][0]

    assert len(last.snippet) <= 300
    assert "here" in last.snippet


def test_a_code_that_is_only_mentioned_is_no_diagnostic():
    assert (None, ()) == parse_output("See TS2322: it is well known.\n", ROOT)
