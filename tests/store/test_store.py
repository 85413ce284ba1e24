"""Opening a store: new, as it was left, of another version, damaged, and on a disk that fails."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretBytes

from mcp_convex.domain.errors import ConvexMcpError, DirectoryUnusable, DiskFull, PushUnderWay, StoreCorrupt
from mcp_convex.store import KeyRing, migrations, open_store
from mcp_convex.store.database import Database, opened_database
from mcp_convex.store.store import Store
from mcp_convex.store.tables import HEAD, metadata
from tests.store.records import ADA, BOB, CANARY, CHAT, SHOP, connection, push, reach, token

pytestmark = pytest.mark.anyio


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The file that all here is about."""
    return tmp_path / "data" / "store.db"


async def refusal(database: Path, ring: KeyRing) -> ConvexMcpError:
    """Try to open *database*, and check that it was left as it is."""
    before = database.read_bytes() if database.is_file() else None
    with pytest.raises(ConvexMcpError) as caught:
        async with open_store(database, ring):
            pytest.fail("opened")
    assert before == (database.read_bytes() if database.is_file() else None)
    return caught.value


def execute(database: Path, *statements: str) -> None:
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database)) as other, other:
        for statement in statements:
            other.execute(statement)


async def test_a_new_store_is_readable_by_this_account_only(database: Path, store: Store) -> None:
    await store.targets.put(ADA, CHAT, reach())

    assert 0o700 == stat.S_IMODE(database.parent.stat().st_mode)
    assert {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600} == {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in database.parent.iterdir()
    }


async def test_connections_wait_for_writers_and_keep_a_log(database: Path, store: Store) -> None:
    async with opened_database(database) as opened, opened.reading() as connection:
        found = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "busy_timeout", "foreign_keys", "secure_delete")
        ]

    assert ["wal", 5000, 1, 1] == found


async def test_the_migrations_lead_to_the_tables_that_the_code_knows(database: Path, store: Store) -> None:
    async with opened_database(database) as opened, opened.reading() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        )

    assert [] == differences
    assert HEAD == max(migrations.known())


async def test_a_folder_with_odd_characters_holds_a_store_too(tmp_path: Path, ring: KeyRing) -> None:
    database = tmp_path / "100% ünï?code #1; a=b" / "store.db"

    async with open_store(database, ring) as store:
        await store.targets.put(ADA, CHAT, reach())

    assert database.stat().st_size > 0


async def test_a_store_from_before_the_first_migration_ran_is_completed(database: Path, ring: KeyRing) -> None:
    database.parent.mkdir()
    database.touch()

    async with open_store(database, ring) as store:
        assert None is await store.targets.get(ADA, CHAT)


async def test_a_store_of_the_first_version_is_upgraded_and_keeps_all_it_held(database: Path) -> None:
    database.parent.mkdir()
    shutil.copyfile(Path(__file__).with_name("stores") / "0001.db", database)

    async with open_store(database, KeyRing((SecretBytes(bytes(32)),))) as store:
        targets = [await store.targets.get(ADA, CHAT), await store.targets.get(BOB, SHOP)]
        pushes = [record async for record in store.pushes.latest(ADA, CHAT)]
        with pytest.raises(PushUnderWay):
            async with store.leases.hold("deployment", ttl_s=1):
                pytest.fail("held twice")
        await store.connections.put_token(ADA, connection(), token())
        await store.targets.put(ADA, CHAT, reach("new.example"), connection=connection().id)
        assert (CHAT,) == await store.connections.delete(ADA, connection().id)

    assert [(reach().target, CANARY), (reach("shop.example").target, "bob|key-canary")] == [
        (found.target, found.credential.get_secret_value()) for found in targets if found
    ]
    assert [push(number) for number in (2, 1, 0)] == pushes


async def test_a_store_of_a_newer_version_is_refused(database: Path, ring: KeyRing) -> None:
    async with open_store(database, ring):
        pass
    execute(database, "UPDATE alembic_version SET version_num = '9999'")

    refused = await refusal(database, ring)

    assert isinstance(refused, StoreCorrupt)
    assert "newer version" in refused.message


async def test_a_database_of_another_program_is_refused(database: Path, ring: KeyRing) -> None:
    execute(database, "CREATE TABLE theirs (id INTEGER PRIMARY KEY)")

    refused = await refusal(database, ring)

    assert isinstance(refused, StoreCorrupt)
    assert "another program" in refused.message


async def test_a_file_that_is_no_database_is_refused(database: Path, ring: KeyRing) -> None:
    database.parent.mkdir()
    database.write_bytes(b"not a database at all, but somebody's thesis" * 100)

    assert isinstance(await refusal(database, ring), StoreCorrupt)


async def test_a_store_that_was_cut_off_is_refused(database: Path, ring: KeyRing) -> None:
    async with open_store(database, ring):
        pass
    database.write_bytes(database.read_bytes()[:6000])

    assert isinstance(await refusal(database, ring), StoreCorrupt)


async def test_a_page_that_was_damaged_is_named_when_it_is_read(database: Path, ring: KeyRing) -> None:
    async with open_store(database, ring) as store:
        for number in range(50):
            await store.pushes.add(ADA, push(number, note="x" * 500))
    whole = database.read_bytes()
    database.write_bytes(whole[: 8 * 4096] + b"\xff" * (len(whole) - 8 * 4096))

    with pytest.raises(StoreCorrupt):
        async with open_store(database, ring) as store:
            _ = [record async for record in store.pushes.latest(ADA, CHAT)]


async def test_a_folder_where_the_file_should_be_is_refused(database: Path, ring: KeyRing) -> None:
    database.mkdir(parents=True)

    assert isinstance(await refusal(database, ring), DirectoryUnusable)


async def test_a_file_where_the_folder_should_be_is_refused(database: Path, ring: KeyRing) -> None:
    database.parent.touch()

    refused = await refusal(database, ring)

    assert isinstance(refused, DirectoryUnusable)
    assert "MCP_CONVEX_DATA_DIR" in refused.next_step


async def test_a_full_disk_is_named_and_what_was_there_stays(database: Path, ring: KeyRing) -> None:
    async with open_store(database, ring) as store:
        await store.targets.put(ADA, CHAT, reach())
        async with opened_database(database) as full:
            with pytest.raises(DiskFull):
                await grow_without_room(full)
        assert None is not await store.targets.get(ADA, CHAT)


async def grow_without_room(database: Database) -> None:
    # The limit has SQLite give the answer that it gives when the disk has no room.
    async with database.writing() as connection:
        await connection.exec_driver_sql("PRAGMA max_page_count = 1")
        await connection.exec_driver_sql("CREATE TABLE more AS SELECT zeroblob(100000)")


async def test_a_store_that_another_program_keeps_locked_is_named(database: Path, store: Store) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with anyio.fail_after(60), pytest.raises(DirectoryUnusable, match="locked by another process"):
            await store.targets.put(ADA, CHAT, reach())
        assert None is await store.targets.get(ADA, CHAT)


async def test_a_cancellation_waits_for_a_transaction_to_end(store: Store) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.targets.put(ADA, CHAT, reach())

    assert None is not await store.targets.get(ADA, CHAT)


async def test_stores_that_are_opened_together_in_one_process_are_all_made(tmp_path: Path, ring: KeyRing) -> None:
    async def make(number: int) -> None:
        async with open_store(tmp_path / str(number) / "store.db", ring) as store:
            await store.targets.put(ADA, CHAT, reach())

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(make, number)

    assert 8 == len(list(tmp_path.glob("*/store.db")))


async def test_processes_that_start_together_make_one_store(database: Path) -> None:
    source = (
        "import anyio, pathlib, sys; from pydantic import SecretBytes; from mcp_convex.store import *\n"
        "async def main():\n"
        "  async with open_store(pathlib.Path(sys.argv[1]), KeyRing((SecretBytes(bytes(32)),))) as store:\n"
        "    async with store.leases.hold(sys.argv[2], ttl_s=60): pass\n"
        "anyio.run(main)\n"
    )
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            command = [sys.executable, "-W", "error", "-c", source, str(database), str(number)]
            tasks.start_soon(anyio.run_process, command)


def test_importing_the_store_loads_neither_the_database_nor_the_cipher() -> None:
    assert [] == loaded_after("import mcp_convex.store")


def test_opening_a_store_that_is_up_to_date_runs_no_migrations(database: Path, ring: KeyRing) -> None:
    source = (
        "import anyio, pathlib; from pydantic import SecretBytes; from mcp_convex.store import *\n"
        "async def main():\n"
        f"  async with open_store(pathlib.Path({str(database)!r}), KeyRing((SecretBytes(bytes(32)),))): pass\n"
        "anyio.run(main)\n"
    )

    assert "alembic" in loaded_after(source)
    assert ["cryptography", "sqlalchemy"] == loaded_after(source)


def loaded_after(source: str) -> list[str]:
    """Run *source* in an interpreter of its own, and say which of the heavy libraries it has loaded."""
    listing = "\nimport sys; print(*sorted({'alembic', 'cryptography', 'sqlalchemy'} & sys.modules.keys()))"
    ran = subprocess.run(  # noqa: S603 - of this file
        [sys.executable, "-c", source + listing], check=True, capture_output=True, text=True, timeout=60
    )
    return ran.stdout.split()
