"""What only PostgreSQL does: it refuses, is too old, lacks rights, restarts, and is shared by processes that race."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
import traceback
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr

from mcp_convex.domain.errors import ConvexMcpError, NotFound, SettingsInvalid, StoreCorrupt, StoreUnreachable
from mcp_convex.store import KeyRing, open_data_dir, open_store, rotate_keys
from mcp_convex.store.audit import SqlAuditStore
from mcp_convex.store.database import opened_database
from mcp_convex.store.store import Store
from mcp_convex.store.tables import metadata
from tests.doubles.postgres import PASSWORD, PostgresServer
from tests.doubles.wire import wire
from tests.store.raw import RawServer
from tests.store.records import ADA, BOB, CANARY, CHAT, SHOP, event, new_key, page, push, reach

pytestmark = pytest.mark.anyio


@pytest.fixture
def raw(postgres: PostgresServer, database_with_tables: str) -> RawServer:
    """The kind that all here is about."""
    return RawServer(postgres, database_with_tables)


@pytest.fixture
def empty(postgres: PostgresServer) -> str:
    return postgres.new_database()


async def refusal(url: SecretStr) -> ConvexMcpError:
    """Try to open the store at *url*, and check that the password is nowhere in what comes of it."""
    with pytest.raises(ConvexMcpError) as caught:
        async with open_store(url, KeyRing((new_key(),))):
            pytest.fail("opened")
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    return caught.value


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("operator:", "operator:wrong-", "does not accept the name and password"),
        ("operator:", "nobody:", "does not accept the name and password"),
        ("/db_", "/none_", "has no database of that name"),
        ("?", "?sslmode=perhaps&", "not one of PostgreSQL's"),
        ("?", "?of_the_future=1&", "does not know a parameter"),
        ("@/", "@localhost:port/", "not one of PostgreSQL's"),
    ],
)
async def test_a_url_that_the_server_refuses_is_said_at_once(postgres, empty, before, after, says) -> None:
    url = postgres.url(empty).get_secret_value().replace(before, after)

    with anyio.fail_after(5):
        refused = await refusal(SecretStr(url))

    assert (True, SettingsInvalid) == (says in refused.message, type(refused)), refused.message
    assert "MCP_CONVEX_DATABASE_URL" in refused.next_step
    assert [] == postgres.tables(empty)


async def test_the_command_line_says_so_and_shows_no_password(postgres, empty, tmp_path) -> None:
    given = {"MCP_CONVEX_DATABASE_URL": postgres.url(empty, password=f"wrong-{PASSWORD}").get_secret_value()}
    given |= {"MCP_CONVEX_ENCRYPTION_KEYS": base64.b64encode(bytes(32)).decode()}
    command = [sys.executable, "-m", "mcp_convex", "keys", "rotate", "--data-dir", str(tmp_path)]

    ran = await anyio.run_process(command, env={**os.environ, **given}, check=False)

    assert (2, b"") == (ran.returncode, ran.stdout)
    assert b"does not accept the name and password" in ran.stderr
    assert PASSWORD.encode() not in ran.stderr


async def test_a_server_that_is_away_is_waited_for_and_then_said_to_be() -> None:
    places = ("127.0.0.1:1/db", "/db?host=/nowhere", "name.invalid/db")
    refused: list[ConvexMcpError] = []

    async def try_at(place: str) -> None:
        refused.append(await refusal(SecretStr(f"postgresql://operator:{PASSWORD}@{place}")))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for place in places:
                tasks.start_soon(try_at, place)

    assert [("store_unreachable", "same_call")] * 3 == [(each.code, each.retry) for each in refused]


async def test_a_role_that_may_not_make_tables_is_told_so_and_makes_none(postgres, empty) -> None:
    postgres.execute("postgres", f"CREATE ROLE reader_{empty} LOGIN PASSWORD '{PASSWORD}'")

    refused = await refusal(postgres.url(empty, role=f"reader_{empty}"))

    assert "does not let this role make or use its tables" in refused.message
    assert [] == postgres.tables(empty)


async def test_a_database_that_cannot_hold_every_text_is_refused(postgres, empty) -> None:
    name = f"{empty}_ascii"
    postgres.execute("postgres", f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0")

    assert "has the encoding SQL_ASCII" in (await refusal(postgres.url(name))).message
    assert [] == postgres.tables(name)


async def test_a_server_that_is_too_old_is_refused(postgres, empty) -> None:
    version = postgres.execute(empty, "SHOW server_version_num")[0][0][:2]

    def aged(data: bytes) -> bytes:
        return data.replace(f"PostgreSQL {version}.".encode(), b"PostgreSQL 13.")

    async with wire(postgres.folder / ".s.PGSQL.5432", aged) as port:
        url = f"postgresql://operator:{PASSWORD}@127.0.0.1:{port}/{empty}?sslmode=disable"
        refused = await refusal(SecretStr(url))

    assert "is PostgreSQL 13" in refused.message
    assert [] == postgres.tables(empty)


async def test_a_database_of_another_program_or_of_a_newer_version_is_left_alone(postgres, empty, raw) -> None:
    postgres.execute(empty, "CREATE TABLE theirs (id integer)")
    raw.execute("UPDATE alembic_version SET version_num = '9999'")

    theirs, newer = await refusal(postgres.url(empty)), await refusal(raw.place)

    assert [StoreCorrupt] * 2 == [type(theirs), type(newer)]
    assert (True, True) == ("another program" in theirs.message, "newer version" in newer.message)
    assert ["theirs"] == postgres.tables(empty)


async def test_a_machine_without_the_driver_is_told_what_to_install(postgres) -> None:
    source = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "from pydantic import *; from mcp_convex.store import *; from mcp_convex.domain.errors import *; import anyio\n"
        "async def main():\n"
        "  try:\n"
        "    async with open_store(SecretStr('postgresql://h/d'), KeyRing((SecretBytes(bytes(32)),))): pass\n"
        "  except SettingsInvalid as exc: print(exc.next_step)\n"
        "anyio.run(main)\n"
    )

    ran = await anyio.run_process([sys.executable, "-c", source])

    assert b"Run `pip install 'mcp-convex[postgres]'`.\n" == ran.stdout


async def test_the_migrations_lead_to_the_tables_that_the_code_knows(raw) -> None:
    async with opened_database(raw.place) as opened, opened.reading() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
        )

    assert [] == differences


async def test_servers_that_start_together_make_the_tables_once(postgres, empty) -> None:
    script = str(Path(__file__).with_name("holder.py"))
    url = postgres.url(empty).get_secret_value()

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            command = [sys.executable, "-W", "error", script, url, str(number), "60"]
            tasks.start_soon(partial(anyio.run_process, command, input=b"\n", stderr=subprocess.PIPE))

    assert [("1",)] == postgres.execute(empty, "SELECT count(*) FROM alembic_version")


async def test_the_servers_that_share_it_have_to_share_keys_and_rotate_while_they_serve(raw, tmp_path) -> None:
    old, new = new_key(), new_key()
    with pytest.raises(SettingsInvalid, match="have to share the keys"):
        async with open_data_dir(tmp_path, url=raw.place):
            pytest.fail("opened")
    with pytest.raises(SettingsInvalid, match="have to share the keys"):
        await rotate_keys(tmp_path, url=raw.place)

    async with open_data_dir(tmp_path / "one", (old,), url=raw.place) as store:
        await store.targets.put(ADA, CHAT, reach())
    async with open_data_dir(tmp_path / "one", (new, old), url=raw.place) as store:
        assert 1 == await rotate_keys(tmp_path / "one", (new, old), url=raw.place)
        assert CANARY == (await store.targets.get(ADA, CHAT)).credential.get_secret_value()
    async with open_data_dir(tmp_path / "other", (new,), url=raw.place) as store:
        assert CANARY == (await store.targets.get(ADA, CHAT)).credential.get_secret_value()
    assert [] == [*tmp_path.rglob("*.key")]


async def test_a_name_that_no_row_can_have_is_not_found(store: Store) -> None:
    for call in (store.pages.find("\0"), store.pages.take_flow("\0"), store.pushes.get(ADA, "a\0b")):
        with pytest.raises(NotFound):
            await call


async def test_more_calls_than_connections_wait_for_one_another(raw, ring) -> None:
    async with open_store(raw.place, ring, connections=2) as store:
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(store.pushes.add, ADA, push(number))
        (open_now,) = raw.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mcp-convex'")
        assert 40 == len([record async for record in store.pushes.latest(ADA, CHAT)])

    assert open_now[0] <= 2


async def test_a_restart_in_the_midst_of_writing_loses_and_doubles_nothing(postgres, raw, store: Store) -> None:
    audit = SqlAuditStore(store._database, b"key")  # without the outbox, so that refusals are seen
    acknowledged: list[str] = []
    refused: list[ConvexMcpError] = []
    restarted = anyio.Event()

    async def write(first: int) -> None:
        number = first
        while not restarted.is_set() or number % 10:
            try:
                await audit.add(ADA, event(number))
                acknowledged.append(f"tool{number}")
            except ConvexMcpError as exc:
                refused.append(exc)
            number += 1

    async with store.leases.hold("a", ttl_s=30), anyio.create_task_group() as tasks:
        for writer in range(4):
            tasks.start_soon(write, writer * 10_000 + 1)
        with anyio.fail_after(60):
            while len(acknowledged) < 40:
                await anyio.lowlevel.checkpoint()
        await postgres.restart()
        before = len(acknowledged)
        with anyio.fail_after(60):
            while len(acknowledged) < before + 40:
                await anyio.lowlevel.checkpoint()
        restarted.set()

    kept = [each.tool for each in await store.audit.latest(ADA, limit=1_000_000)]
    assert len(set(kept)) == len(kept)
    assert set(acknowledged) <= set(kept)
    assert {"store_unreachable"} >= {each.code for each in refused}
    assert len(refused) <= 4  # what was under way; the others waited


async def test_a_lease_whose_renewal_is_answered_late_is_still_its_holders(postgres, raw, ring) -> None:
    lease_s = 1.0
    renewals: list[float] = []
    again = anyio.Event()

    def answered(data: bytes) -> bytes:
        if b"UPDATE 1" in data:
            renewals.append(time.monotonic())
            if len(renewals) == 1:
                time.sleep(2 * lease_s)  # the whole process stands still, and hears of no event
            else:
                again.set()
        return data

    async with wire(postgres.folder / ".s.PGSQL.5432", answered) as port:
        ((name,),) = raw.execute("SELECT current_database()")
        url = f"postgresql://operator:{PASSWORD}@127.0.0.1:{port}/{name}?sslmode=disable"
        async with open_store(SecretStr(url), ring) as store, store.leases.hold("a", ttl_s=lease_s):
            with anyio.fail_after(60):
                await again.wait()


async def test_an_event_that_cannot_be_written_is_kept_and_written_once_that_can_be(raw, ring, caplog) -> None:
    async with open_store(raw.place, ring) as store:
        raw.execute("ALTER TABLE audit_events RENAME TO elsewhere")
        await store.audit.add(ADA, event(1))
        raw.execute("ALTER TABLE elsewhere RENAME TO audit_events")
        with anyio.fail_after(60):
            while not await store.audit.latest(ADA, limit=9):
                await anyio.lowlevel.checkpoint()
        raw.execute("ALTER TABLE audit_events RENAME TO elsewhere")
        await store.audit.add(ADA, event(2))

    assert [event(2).model_dump_json() in caplog.text, event(1).model_dump_json() in caplog.text] == [True, False]
    assert [(1,)] == raw.execute("SELECT count(*) FROM elsewhere")


async def test_a_server_killed_with_a_transaction_under_way_has_nothing_of_it(postgres, raw, store: Store) -> None:
    await store.targets.put(ADA, CHAT, reach())

    async def delete_in_vain() -> None:
        async with store._database.writing() as connection:
            await connection.exec_driver_sql("DELETE FROM targets")
            await postgres.restart(signal.SIGQUIT)
            await connection.exec_driver_sql("DELETE FROM pushes")

    with pytest.raises(StoreUnreachable):
        await delete_in_vain()

    assert None is not await store.targets.get(ADA, CHAT)


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_server_whose_clock_is_wrong_neither_steals_nor_keeps_anything(raw, ring, hours) -> None:
    """The tests have one clock, so it is the database's that is wrong here; nothing but the difference counts."""
    raw.execute(
        "CREATE SCHEMA skewed",
        "CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
        f"$$ SELECT pg_catalog.clock_timestamp() + interval '{hours} hours' $$",
    )
    url = SecretStr(f"{raw.place.get_secret_value()}&search_path=skewed,public,pg_catalog")
    async with open_store(url, ring) as store, open_store(url, ring) as other:
        async with store.leases.hold("a", ttl_s=60):
            with pytest.raises(ConvexMcpError):
                async with other.leases.hold("a", ttl_s=60):
                    pytest.fail("held twice")
        async with other.leases.hold("a", ttl_s=60):
            pass
        await store.pages.add(ADA, page("h1"))
        assert (ADA, page("h1")) == await other.pages.take("h1")
        await store.audit.add(BOB, event(1))
        assert (event(1),) == await other.audit.latest(BOB, limit=1)
        assert None is await other.targets.get(ADA, SHOP)
