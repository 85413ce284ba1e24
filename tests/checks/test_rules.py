"""Every rule finds its bad examples, at its own severity, and leaves its good ones alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mcp_convex.checks.rules import rules
from tests.checks.workspaces import diagnostics, workspace

TABLE = Path(__file__).parents[2] / "docs" / "checks.md"
UNFILLED = re.compile(r"\{\w+\}")

pytestmark = pytest.mark.anyio

EXAMPLES = [
    pytest.param(name, kind, example, id=f"{name}-{kind}-{number}")
    for name, rule in rules().items()
    for kind, examples in (("bad", rule.bad), ("good", rule.good))
    for number, example in enumerate(examples, 1)
]


@pytest.mark.parametrize(("name", "kind", "example"), EXAMPLES)
async def test_a_rule_finds_its_bad_examples_and_no_rule_minds_its_good_ones(name, kind, example):
    set_there = None if name == "env_needed" else ()
    found = await diagnostics(workspace(example), env_vars=set_there)

    if kind == "bad":
        of_rule = [each for each in found if each.code == name]
        assert {rules()[name].severity} == {each.severity for each in of_rule}
        assert [] == [each for each in of_rule if UNFILLED.search(f"{each.message}{each.hint}")]
    else:
        assert [] == [each for each in found if each.code == name or each.severity == "error"]


def test_the_table_in_the_docs_names_every_rule_once():
    rows = re.findall(r"(?m)^\| .* \| (`.*`) \|$", TABLE.read_text())

    assert sorted(rules()) == sorted(name for row in rows for name in re.findall(r"`(\w+)`", row))
