"""What `list_projects` takes with many projects of other people in the store, and with few."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from pydantic import SecretBytes
from sqlalchemy import Table, insert, text

from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.database import DatabasePlace, opened_database
from mcp_convex.store.tables import audit_events, connections, provisioning_runs, pushes, targets
from tests.doubles.cloud import FakeCloud, fake_cloud
from tests.doubles.postgres import postgres_server
from tests.doubles.provisioning import place

Measure = Callable[[], Awaitable[float]]

FEW, MANY = 100, 100_000
_AT_ONCE = 5_000
_RING = KeyRing((SecretBytes(bytes(32)),))
_RECORD = "{" + " " * 600 + "}"
"""As long as records are; nobody reads those of others."""


@asynccontextmanager
async def crowded_stores(folder: Path) -> AsyncGenerator[dict[str, tuple[Measure, Measure]]]:
    """Lend, by the kind of database, `list_projects` with many projects in the store and with few."""
    async with fake_cloud() as cloud, AsyncExitStack() as stack:
        team = cloud.add_team()
        for name in ("chat", "shop", "blog"):
            cloud.add_project(team, name)
        server = stack.enter_context(postgres_server())
        places: dict[str, Iterator[DatabasePlace]] = {
            "SQLite": (folder / f"{name}.db" for name in ("many", "few")),
            "PostgreSQL": (server.url(server.new_database()) for _ in range(2)),
        }
        yield {
            kind: (
                await _measure(stack, next(found), MANY, cloud, folder / kind),
                await _measure(stack, next(found), FEW, cloud, folder / kind),
            )
            for kind, found in places.items()
        }


async def _measure(
    stack: AsyncExitStack, database: DatabasePlace, projects: int, cloud: FakeCloud, folder: Path
) -> Measure:
    store = await stack.enter_async_context(open_store(database, _RING))
    await _fill(database, projects)
    here = await stack.enter_async_context(place(store, folder / str(projects), cloud.url))
    await here.connect(cloud, cloud.teams[0])

    async def list_projects() -> float:
        started = time.monotonic()
        found = await here.projects.list_projects()
        assert len(found.projects) == 3
        return time.monotonic() - started

    return list_projects


async def _fill(database: DatabasePlace, projects: int) -> None:
    """Keep what the store keeps of so many projects: of each another principal's."""
    async with opened_database(database) as opened:
        for first in range(0, projects, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, projects))
            async with opened.writing() as connection:
                for table in (connections, targets, provisioning_runs, pushes, audit_events):
                    await connection.execute(insert(table), [_row(table, number) for number in numbers])
        async with opened.writing() as connection:
            await connection.execute(text("ANALYZE"))


def _row(table: Table, number: int) -> dict[str, object]:
    known: dict[str, object] = {
        "principal": f"https://login.example.com person{number}",
        "id": f"{number:08}",
        "workspace": f"shop-{number:08}",
        "name": "shop",
        "kind": "cloud",
        "url": "https://happy-otter-1.convex.cloud",
        "credential": bytes(200),
        "token": bytes(200),
        "started_at": float(number),
        "at": time.time(),
        "is_open": False,
        "record": _RECORD,
    }
    return {column.name: known[column.name] for column in table.c if column.name in known}
