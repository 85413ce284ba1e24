"""Where Convex's own ESLint plugin has a rule of ours, both say the same of our examples."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from mcp_convex.checks.rules import rules
from tests.checks.workspaces import diagnostics, workspace
from tests.doubles import npm

pytestmark = pytest.mark.anyio

THEIRS = {
    "collect": "no-collect-in-query",  # theirs minds each `.collect()`, ours that of a whole table
    "cron_on_the_hour": "no-top-of-hour-crons",
    "filter": "no-filter-in-query",
    "filter_for_index": "no-filter-in-query",
    "index_redundant": "no-duplicate-indexes",
    "no_args": "require-args-validator",
    "no_validator": "require-args-validator",
    "old_syntax": "no-old-registered-function-syntax",
    "schema_cycle": "no-schema-import-cycle",
}
LINT = Path(npm.__file__).with_name("lint.mjs")


def linted(files):
    """Return what the plugin says of *files*, the rule by file and line."""
    packages = npm.installed("@convex-dev/eslint-plugin@5.0.0")
    asked = json.dumps({"rules": sorted(set(THEIRS.values())), "files": [str(file) for file in files]})
    command = ["node", str(LINT), str(packages)]
    run = subprocess.run(command, input=asked, check=True, capture_output=True, text=True, timeout=120)  # noqa: S603
    return {(found["file"], found["line"], found["rule"]) for found in json.loads(run.stdout)}


def place(file, line, rule):
    """Return what of a finding both have to agree on: of a cycle, that there is one."""
    return (str(Path(file).parent), rule) if rule == THEIRS["schema_cycle"] else (str(file), line, rule)


async def test_both_find_the_same_in_the_examples(tmp_path):
    ours, files = set(), []
    for name in THEIRS:
        for number, example in enumerate((*rules()[name].bad, *rules()[name].good)):
            root = tmp_path / name / str(number)
            there = workspace(example)
            for path, text in there.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            files += [root / path for path in there if path.endswith(".ts")]
            found = [each for each in await diagnostics(there) if each.code in THEIRS]
            ours |= {place(root / each.file, each.line, THEIRS[each.code]) for each in found}

    theirs = {place(*found) for found in linted(files)}

    assert [] == sorted(ours - theirs)
    assert [] == [found for found in theirs - ours if found[-1] != THEIRS["collect"]]
