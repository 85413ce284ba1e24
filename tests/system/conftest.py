"""A whole server for this folder's tests: the real CLI, and a stand-in deployment that misbehaves on request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from mcp import Client
from pydantic import SecretStr

from mcp_convex.broker import Tuning
from mcp_convex.domain.secrets import AdminKeyValue
from mcp_convex.server import build_server, open_services
from mcp_convex.settings import Settings
from tests.doubles.deployment import FakeDeployment, fake_deployment
from tests.system.processes import running
from tests.world import World, make_settings

HASTY = Tuning(patience_s=0.3, first_pause_s=0.05, longest_pause_s=0.1, silence_s=1, optional_s=1, proof_s=1)


@dataclass(frozen=True)
class Linked:
    """A server whose workspace pushes to *deployment*."""

    world: World
    deployment: FakeDeployment

    async def push(self, **arguments: Any) -> dict[str, Any]:
        """Push, and return what came of it, which is never an error of the call."""
        pushed = (await self.world.call("push", **arguments)).structured_content
        assert "outcome" in pushed, pushed
        return pushed


@pytest.fixture(scope="session")
async def hasty(tmp_path_factory, anyio_backend) -> AsyncIterator[Linked]:
    """A server with little patience, over a workspace that holds the example app, linked to a stand-in."""
    settings = make_settings(tmp_path_factory.mktemp("hasty"), push_deadline_s="20", armed_pushes=False)
    async with fake_deployment() as deployment, Client(build_server(settings, tuning=HASTY)) as client:
        await link(settings, deployment)
        world = World(client=client, settings=settings, era="auto")
        await world.hold({})
        assert "pushed" == (await world.content("push"))["outcome"]
        yield Linked(world, deployment)


@pytest.fixture
def linked(hasty: Linked) -> Iterator[Linked]:
    """The stand-in, not misbehaving yet; afterwards nothing may be left of what ran."""
    hasty.deployment.mend()
    yield hasty
    assert {} == running(hasty.world.workspace.parent)


async def link(settings: Settings, deployment: FakeDeployment) -> None:
    """Make *deployment* the target, as `mcp-convex connect` does."""
    async with open_services(settings) as services:
        await services.targets.link(deployment.url, AdminKeyValue(SecretStr(deployment.admin_key)))
