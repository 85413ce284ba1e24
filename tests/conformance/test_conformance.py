"""The official conformance suite has nothing to say against this server."""

from __future__ import annotations

import anyio
import pytest

from tests.conformance.suite import REVISIONS, score, served

pytestmark = [
    pytest.mark.anyio,
    # The handshake era's part of the suite is about what the later one has dropped.
    pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning"),
]

FEWEST = {"2026-07-28": 80, "2025-11-25": 60}
"""Fewer scored checks than these, and the suite has not run as it should."""


@pytest.mark.parametrize("revision", REVISIONS)
async def test_every_scored_check_of_the_official_suite_passes(tmp_path, revision):
    async with served(tmp_path / "data") as url:
        with anyio.fail_after(120):
            found = await score(url, revision, tmp_path / "out")

    assert {} == found.failed
    assert found.passed >= FEWEST[revision]
