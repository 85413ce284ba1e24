"""Faults that are sown into templates, which are known to push, are found."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

import mcp_convex
from mcp_convex.checks import OfflineChecks
from mcp_convex.checks.rules import rules
from mcp_convex.server.place import find_asset
from tests.checks.faults import sown
from tests.checks.workspaces import diagnostics

pytestmark = pytest.mark.anyio

TEMPLATES = sorted(folder for folder in find_asset("resources/templates").iterdir() if folder.is_dir())
CHAT = Path(mcp_convex.__file__).parent / "demo" / "chat"
SOURCES = [*TEMPLATES, find_asset("sandbox_template"), CHAT]


def sources(folder):
    root = folder / "convex" if (folder / "convex").is_dir() else folder
    texts = {f"convex/{file.relative_to(root).as_posix()}": file.read_text() for file in root.rglob("*.ts")}
    return texts | {"convex/tsconfig.json": '{"compilerOptions": {"strict": true}}', "package.json": "{}"}


@pytest.mark.parametrize("folder", SOURCES, ids=lambda folder: folder.name)
async def test_sources_that_push_have_neither_errors_nor_warnings(folder):
    found = await diagnostics(sources(folder))

    assert [] == [each for each in found if each.severity != "note"]


async def test_nearly_all_faults_that_are_sown_are_found():
    checks = OfflineChecks()
    there, seen, sought = Counter(), Counter(), set()
    missed = []
    for folder in SOURCES:
        for path, files, fault in sown(sources(folder)):
            found = await diagnostics(files, checks=checks, env_vars=())
            there[fault.name] += 1
            sought |= fault.rules
            if any(each.code in fault.rules and each.file == path for each in found):
                seen[fault.name] += 1
            else:
                missed.append((fault.name, folder.name, path))

    assert ["env_needed"] == sorted(rules().keys() - sought)  # which is not said where it is known what is set
    assert there.total() > 1_500
    assert seen.total() >= 0.95 * there.total(), missed
    assert [] == [name for name in there if seen[name] < 0.8 * there[name]], missed


async def test_what_was_found_before_changes_nothing_in_what_is_found():
    checks = OfflineChecks()

    for path, files, fault in islice(sown(sources(CHAT)), 0, None, 5):
        assert await diagnostics(files) == await diagnostics(files, checks=checks), (fault.name, path)
