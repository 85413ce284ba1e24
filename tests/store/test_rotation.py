"""Rotating the key file: nothing is lost at any moment, and nothing else has the store open meanwhile."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from mcp_convex.domain.errors import StoreCorrupt, StoreInUse
from mcp_convex.store import KeyRing, open_data_dir, open_key_ring, open_store, rotate_keys
from tests.store.records import (
    ADA,
    BOB,
    CANARY,
    CHAT,
    TOKEN_CANARY,
    VERIFIER_CANARY,
    connection,
    flow,
    new_key,
    reach,
    token,
    verifier,
)

pytestmark = pytest.mark.anyio

STRIDE = 17
"""Of the steps, as `rotation.py` counts them, every 17th is the last of one process."""
KILLS = 40


@pytest.fixture
async def data_dir(tmp_path: Path) -> Path:
    """A data directory with a credential of each kind in it."""
    async with open_data_dir(tmp_path / "data") as store:
        await store.targets.put(ADA, CHAT, reach())
        await store.connections.put_token(BOB, connection(), token())
        await store.pages.add_flow(ADA, flow("s1"), verifier())
    return tmp_path / "data"


async def credentials(data_dir: Path) -> list[str]:
    async with open_data_dir(data_dir) as store:
        target = await store.targets.get(ADA, CHAT)
        assert target is not None
        found = (
            target.credential,
            await store.connections.token(BOB, connection().id),
            (await store.pages.take_flow("s1"))[2],
        )
        return [value.get_secret_value() for value in found]


async def test_a_rotation_replaces_the_key_and_keeps_every_credential(data_dir: Path) -> None:
    (former,) = open_key_ring(data_dir).keys

    assert 3 == await rotate_keys(data_dir)

    (newest,) = open_key_ring(data_dir).keys
    assert former != newest
    assert {"store.db", "store.key"} == {path.name for path in data_dir.iterdir()}
    assert 0o600 == (data_dir / "store.key").stat().st_mode & 0o777
    async with open_store(data_dir / "store.db", KeyRing((former,))) as store:
        with pytest.raises(StoreCorrupt):
            await store.targets.get(ADA, CHAT)
    assert [CANARY, TOKEN_CANARY, VERIFIER_CANARY] == await credentials(data_dir)


async def test_a_rotation_to_given_keys_leaves_the_key_file_alone(data_dir: Path) -> None:
    before = (data_dir / "store.key").read_bytes()
    given = new_key()

    assert 3 == await rotate_keys(data_dir, (given,))

    assert before == (data_dir / "store.key").read_bytes()
    async with open_store(data_dir / "store.db", KeyRing((given,))) as store:
        assert None is not await store.targets.get(ADA, CHAT)


async def test_a_rotation_is_refused_while_another_has_the_store_open(data_dir: Path) -> None:
    before = (data_dir / "store.key").read_bytes()

    async with open_data_dir(data_dir), open_data_dir(data_dir):
        with pytest.raises(StoreInUse):
            await rotate_keys(data_dir)

    assert before == (data_dir / "store.key").read_bytes()


async def test_a_rotation_that_meets_what_it_cannot_decrypt_drops_no_key(data_dir: Path) -> None:
    async with open_store(data_dir / "store.db", KeyRing((new_key(),))) as store:
        await store.targets.put(BOB, CHAT, reach())

    with pytest.raises(StoreCorrupt):
        await rotate_keys(data_dir)

    assert 2 == len(open_key_ring(data_dir).keys)
    assert [CANARY, TOKEN_CANARY, VERIFIER_CANARY] == await credentials(data_dir)


async def test_the_command_line_rotates_and_says_so(data_dir: Path) -> None:
    before = (data_dir / "store.key").read_bytes()

    ran = await anyio.run_process([sys.executable, "-m", "mcp_convex", "keys", "rotate", "--data-dir", str(data_dir)])

    assert b"Encrypted 3 stored credentials anew" in ran.stdout
    assert before != (data_dir / "store.key").read_bytes()
    assert [CANARY, TOKEN_CANARY, VERIFIER_CANARY] == await credentials(data_dir)


async def test_a_rotation_that_is_killed_at_any_step_loses_nothing_and_can_be_repeated(
    data_dir: Path, tmp_path: Path
) -> None:
    script = Path(__file__).with_name("rotation.py")
    killed = tmp_path / "killed"
    killed.mkdir()

    with anyio.fail_after(120):
        await anyio.run_process([sys.executable, str(script), str(data_dir), str(killed), str(STRIDE)])

    stages = set[int]()
    for left in sorted(killed.iterdir()):
        stages.add(len(open_key_ring(left).keys))
        assert 3 == await rotate_keys(left)
        assert [CANARY, TOKEN_CANARY, VERIFIER_CANARY] == await credentials(left)
        assert {"store.db", "store.key"} == {path.name for path in left.iterdir()}
    assert {1, 2} == stages
    assert KILLS <= len(list(killed.iterdir())) - 1  # the last comes to its end
