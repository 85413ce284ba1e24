"""A server and a client of it, over a workspace in a sandbox of the loopback E2B."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mcp import Client

from mcp_convex.boundary import Replicated, one_workspace
from mcp_convex.domain.ports import NoAnnouncements
from mcp_convex.sandboxes.e2b.account import Account
from mcp_convex.server import assembled
from mcp_convex.server.adapters import opened_adapters, opened_shared
from mcp_convex.server.place import find_place
from mcp_convex.server.wiring import wired
from mcp_convex.services import Services
from mcp_convex.settings import Settings, load
from tests.doubles.e2b.box import Box
from tests.doubles.e2b.cloud import API_KEY, E2BCloud
from tests.doubles.office import free_port
from tests.world import World


@dataclass(frozen=True)
class E2BWorld(World):
    cloud: E2BCloud

    @property
    def box(self) -> Box:
        [box] = self.cloud.alive
        return box


def e2b_settings(folder: Path, cloud: E2BCloud, **more: object) -> Settings:
    """Return settings for a workspace at E2B, and a data directory below *folder*."""
    (folder / "app").mkdir(exist_ok=True)
    flags = {"workspace": folder / "app", "data_dir": folder / "data", "pages_port": free_port(), "sandbox": "e2b"}
    urls = {"e2b_api_url": cloud.url, "e2b_sandbox_url": cloud.url}
    return load({name: str(flag) for name, flag in (flags | urls | more).items()}, {"E2B_API_KEY": API_KEY})


@asynccontextmanager
async def opened_e2b(folder: Path, cloud: E2BCloud, **more: object) -> AsyncIterator[E2BWorld]:
    """Serve a workspace that lives in a sandbox without a network, and pushes to the embedded deployment."""
    settings = e2b_settings(folder, cloud, **more)
    async with Client(World.server(settings)) as client:
        yield E2BWorld(client=client, settings=settings, era="auto", cloud=cloud)


@asynccontextmanager
async def opened_beside(world: E2BWorld, account: Account) -> AsyncIterator[E2BWorld]:
    """Serve the workspace of *world* by another server, whose way to E2B is *account*."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        place = find_place(world.settings)
        async with (
            opened_shared(world.settings, None) as shared,
            opened_adapters(world.settings, place, replace(shared, e2b=account), NoAnnouncements()) as adapters,
            wired(world.settings, place, adapters) as services,
        ):
            yield services

    async with Client(assembled(world.settings, lambda: one_workspace(opened), Replicated())) as client:
        yield replace(world, client=client)
