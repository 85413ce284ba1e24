"""Where the encryption keys come from."""

from __future__ import annotations

import base64
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from mcp_convex.domain.errors import DirectoryUnusable, StoreCorrupt
from mcp_convex.store import open_key_ring
from tests.store.records import new_key


def opened(data_dir: Path) -> list[bytes]:
    return [key.get_secret_value() for key in open_key_ring(data_dir).keys]


def test_the_first_start_makes_a_key_file_that_only_this_account_may_read(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "data"

    first = open_key_ring(data_dir)

    assert 0o700 == stat.S_IMODE(data_dir.stat().st_mode)
    assert 0o600 == stat.S_IMODE((data_dir / "store.key").stat().st_mode)
    assert [data_dir / "store.key"] == list(data_dir.iterdir())
    assert first == open_key_ring(data_dir)


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        rings = list(pool.map(opened, [tmp_path / "data"] * 8))

    assert [rings[0]] * 8 == rings


def test_given_keys_make_no_file(tmp_path: Path) -> None:
    key = new_key()

    assert (key,) == open_key_ring(tmp_path, (key,)).keys
    assert [] == list(tmp_path.iterdir())


def test_given_keys_come_before_those_of_the_file(tmp_path: Path) -> None:
    (of_the_file,) = open_key_ring(tmp_path).keys
    key = new_key()

    assert (key, of_the_file) == open_key_ring(tmp_path, (key,)).keys


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_key_file_that_others_may_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    open_key_ring(tmp_path)
    (tmp_path / "store.key").chmod(mode)

    with pytest.raises(DirectoryUnusable) as caught:
        open_key_ring(tmp_path)

    assert f"chmod 600 {tmp_path / 'store.key'}" in caught.value.next_step


@pytest.mark.parametrize("content", [b"", b"canary", base64.b64encode(b"canary"), b"\x00\xff"])
def test_a_damaged_key_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    open_key_ring(tmp_path)
    (tmp_path / "store.key").write_bytes(content)

    with pytest.raises(StoreCorrupt) as caught:
        open_key_ring(tmp_path)

    assert "canary" not in caught.value.message
    assert content == (tmp_path / "store.key").read_bytes()


def test_no_new_key_is_made_for_a_store_that_has_lost_its_own(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()

    with pytest.raises(StoreCorrupt, match="gone"):
        open_key_ring(tmp_path)

    assert [tmp_path / "store.db"] == list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(DirectoryUnusable, match="Not a directory"):
        open_key_ring(tmp_path / "file" / "data")


def test_a_ring_does_not_print_its_keys(tmp_path: Path) -> None:
    assert "SecretBytes(b'**********')" in repr(open_key_ring(tmp_path))
