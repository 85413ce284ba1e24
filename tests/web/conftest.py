"""A person, and what they are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.doubles.office import Office, office


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A person's home directory, before anything looks into it."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
async def desk(tmp_path) -> AsyncIterator[Office]:
    """A server with an OAuth application, and an agent whose client shows no links."""
    async with office(tmp_path) as running:
        yield running


@pytest.fixture
async def plain_desk(tmp_path) -> AsyncIterator[Office]:
    """A server without an OAuth application."""
    async with office(tmp_path, oauth=False) as running:
        yield running
