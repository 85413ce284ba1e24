"""A store of its own for each test, on each of the two kinds of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.database import DatabasePlace
from mcp_convex.store.store import Store
from tests.doubles.postgres import make_tables
from tests.store.raw import Raw, RawFile, RawServer
from tests.store.records import new_key


@pytest.fixture(scope="session")
async def file_with_tables(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> Path:
    file = tmp_path_factory.mktemp("template") / "store.db"
    await make_tables(file)
    return file


@pytest.fixture(params=["sqlite", "postgres"])
def raw(request: pytest.FixtureRequest, tmp_path: Path) -> Raw:
    """A database beside the store, as another program sees it."""
    if request.param == "sqlite":
        return RawFile(tmp_path / "data" / "store.db", request.getfixturevalue("file_with_tables"))
    return RawServer(request.getfixturevalue("postgres"), request.getfixturevalue("database_with_tables"))


@pytest.fixture
def database(raw: Raw) -> DatabasePlace:
    return raw.place


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing((new_key(),))


@pytest.fixture
async def store(database: DatabasePlace, ring: KeyRing) -> AsyncIterator[Store]:
    async with open_store(database, ring) as opened:
        yield opened
