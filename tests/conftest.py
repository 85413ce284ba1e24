"""What every test shares: one event loop, so that a deployment can outlive a test, and a server over a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from mcp import Client

from tests.world import World, make_settings


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", params=["auto", "legacy"])
async def world(request, tmp_path_factory, anyio_backend) -> AsyncIterator[World]:
    """A server with the embedded deployment over a workspace of its own, once in each protocol era."""
    settings = make_settings(tmp_path_factory.mktemp(request.param))
    async with Client(World.server(settings), mode=request.param) as client:
        yield World(client=client, settings=settings, era=request.param)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what looks at all that the suite has sent when the suite has sent it."""
    items.sort(key=lambda item: item.path.name == "test_wire_shapes.py")
