"""What every test shares: one event loop, so that a deployment can outlive a test, and a server over a real one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from mcp import Client

from tests.doubles.browser import Chromium, Tab, chromium
from tests.doubles.cloud import FakeCloud, fake_cloud
from tests.doubles.issuer import FakeIssuer, fake_issuer
from tests.doubles.postgres import PostgresServer, make_tables, postgres_server
from tests.doubles.recording import RECORDED
from tests.doubles.wire_shapes import checked
from tests.world import World, make_settings


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", params=["auto", "legacy"])
async def world(request, tmp_path_factory, anyio_backend) -> AsyncIterator[World]:
    """A server with the embedded deployment over a workspace of its own, in each protocol era; armed in one of them."""
    armed = request.param == "auto"
    settings = make_settings(tmp_path_factory.mktemp(request.param), armed_pushes=armed)
    async with Client(World.server(settings), mode=request.param) as client:
        yield World(client=client, settings=settings, era=request.param)


@pytest.fixture(scope="session")
async def browser(tmp_path_factory, anyio_backend) -> AsyncIterator[Chromium]:
    """A person's browser."""
    async with chromium(tmp_path_factory.mktemp("chromium")) as running:
        yield running


@pytest.fixture
async def tab(browser: Chromium) -> Tab:
    """A tab of a browser that nobody has used before."""
    return await browser.tab()


@pytest.fixture(scope="module")
async def issuer(anyio_backend) -> AsyncIterator[FakeIssuer]:
    """Whoever signs a module's tokens."""
    async with fake_issuer() as running:
        yield running


@pytest.fixture(scope="module")
async def served_cloud(anyio_backend) -> AsyncIterator[FakeCloud]:
    """Convex's cloud, served for a module's tests."""
    async with fake_cloud() as cloud:
        yield cloud


@pytest.fixture
def cloud(served_cloud: FakeCloud) -> FakeCloud:
    """The served cloud, with one team and no memory of the test before."""
    served_cloud.forget()
    served_cloud.add_team()
    return served_cloud


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def database_with_tables(postgres: PostgresServer) -> str:
    """A database to make others like: the migrations take longer than most tests."""
    name = postgres.new_database()
    with ThreadPoolExecutor(max_workers=1) as thread:  # an event loop may belong to this one
        thread.submit(anyio.run, make_tables, postgres.url(name)).result()
    return name


@pytest.fixture(scope="session", autouse=True)
def every_body_fits_convexs_own_types(tmp_path_factory) -> Iterator[None]:
    """Hold all that the suite has exchanged with Convex's double to the types, once it is through."""
    yield
    if RECORDED:
        assert "" == checked(tmp_path_factory.mktemp("bodies") / "check", RECORDED)
