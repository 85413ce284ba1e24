"""The README's tables are what the code says. UPDATE_SNAPSHOTS=1 writes them."""

from __future__ import annotations

import inspect
import json
import os
import re
from pathlib import Path

import pytest

import mcp_convex
from mcp_convex.settings import describe
from mcp_convex.tools import TOOLSETS

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def tools_table() -> str:
    rows = ["| toolset | tool | what it does |", "|---|---|---|"]
    for toolset, specs in TOOLSETS.items():
        rows += [f"| {toolset} | `{spec.name}` | {inspect.getdoc(spec.fn).splitlines()[0]} |" for spec in specs]
    return "\n".join(rows)


def settings_table() -> str:
    rows = ["| variable | flag | default | what it does |", "|---|---|---|---|"]
    rows += [
        f"| `{knob.env}` | {f'`{knob.flag}`' if knob.flag else 'none'} | {knob.default} | {knob.description} |"
        for knob in describe()
    ]
    return "\n".join(rows)


@pytest.mark.parametrize(("name", "table"), [("tools", tools_table), ("settings", settings_table)])
def test_a_table_of_the_readme_is_what_the_code_says(name, table):
    text = README.read_text()
    part = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        README.write_text(part.sub(lambda _: f"{table()}\n", text))
        text = README.read_text()

    assert f"{table()}\n" == part.search(text).group()


def test_what_is_published_carries_the_version_of_the_code():
    server = json.loads((ROOT / "server.json").read_text())

    assert mcp_convex.__version__ == server["version"] == server["packages"][0]["version"]
    assert len(server["description"]) <= 100
    assert f"<!-- mcp-name: {server['name']} -->" in README.read_text()
