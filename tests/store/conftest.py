"""A store in a data directory of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.store import Store
from tests.store.records import new_key


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "store.db"


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing((new_key(),))


@pytest.fixture
async def store(database: Path, ring: KeyRing) -> AsyncIterator[Store]:
    async with open_store(database, ring) as opened:
        yield opened
