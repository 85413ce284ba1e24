"""What every test shares: one event loop for all of them, so that a deployment can outlive a test."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
