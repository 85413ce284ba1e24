"""Chat backends of a hosted server, whose people sign in with an issuer and connect to a cloud."""

from __future__ import annotations

import pytest

from tests.doubles.cloud import fake_cloud


@pytest.fixture(scope="module")
async def convex(anyio_backend):
    async with fake_cloud() as running:
        running.add_project(running.add_team(), "shop")
        yield running
