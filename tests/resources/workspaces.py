"""Servers over workspaces that have every package which a guideline or a template asks for."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import Client

from mcp_convex.settings import load
from tests.doubles.npm import PACKAGE_FILES, installed_from
from tests.doubles.office import free_port
from tests.doubles.projects import ROOT
from tests.world import World

PACKAGES = ROOT / "tests/resources/packages"


def make_workspace(folder: Path) -> Path:
    """Make a workspace with the packages, and nothing else."""
    installed = installed_from(PACKAGES)
    folder.mkdir(parents=True)
    for name in PACKAGE_FILES:
        shutil.copy(installed / name, folder / name)
    (folder / "node_modules").symlink_to(installed / "node_modules")
    return folder


@asynccontextmanager
async def world_in(folder: Path) -> AsyncIterator[World]:
    """Serve a workspace of its own below *folder*. It is pushed once: no CLI waits for another push."""
    places = {"workspace": str(make_workspace(folder / "app")), "data_dir": str(folder / "data")}
    settings = load({**places, "pages_port": str(free_port()), "armed_pushes": False}, {})
    async with Client(World.server(settings)) as client:
        yield World(client=client, settings=settings, era="auto")
