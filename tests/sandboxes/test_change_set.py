"""Writing all files or none: through a kill at any moment, and on a disk that fills up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_convex.domain.errors import DirectoryUnusable
from mcp_convex.sandboxes.change_set import ChangeSets
from mcp_convex.sandboxes.isolation.bubblewrap import find_bubblewrap

ROOT = Path(__file__).parents[2]

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from mcp_convex.sandboxes.change_set import ChangeSets

root, state, moment = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
watched = {"os.mkdir", "os.link", "open", "os.rename", "os.remove", "os.rmdir"}
seen = 0

def count(event, arguments):
    global seen
    if event in watched and str(root.parent) in str(arguments[0]):
        seen += 1
        if seen == moment:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(count)
ChangeSets(root, state).apply({root / "kept": b"new", root / "sub/deep/made": b"new", root / "gone": None})
"""

ON_A_SMALL_DISK = """
from pathlib import Path
from mcp_convex.domain.errors import DiskFull
from mcp_convex.sandboxes.change_set import ChangeSets

root = Path("/mnt/root")
root.mkdir()
(root / "kept").write_text("old")
try:
    ChangeSets(root, Path("/mnt/state")).apply({root / "kept": b"new", root / "large": b"x" * 4_000_000})
except DiskFull:
    print(sorted((path.name, path.read_text()) for path in root.iterdir()))
"""


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/kept").write_text("old")
    (tmp_path / "root/gone").write_text("old")
    return tmp_path / "root"


def content(root: Path) -> dict[str, str]:
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_every_change_is_made_and_nothing_else_is_left(root, tmp_path) -> None:
    (root / "kept").chmod(0o755)
    ChangeSets(root, tmp_path / "state").apply(
        {root / "kept": b"new", root / "sub/deep/made": b"new", root / "gone": None}
    )
    assert {"kept": "new", "sub/deep/made": "new"} == content(root)
    assert ["kept", "sub"] == sorted(path.name for path in root.iterdir())
    assert 0o755 == (root / "kept").stat().st_mode & 0o777


def test_a_file_that_cannot_be_put_in_place_undoes_the_others(root, tmp_path) -> None:
    (root / "folder").mkdir()
    before = content(root)
    changes = {root / "kept": b"new", root / "gone": None, root / "sub/made": b"new", root / "folder": b"new"}
    with pytest.raises(DirectoryUnusable):
        ChangeSets(root, tmp_path / "state").apply(changes)
    assert before == content(root)
    assert ["folder", "gone", "kept"] == sorted(path.name for path in root.iterdir())


def test_a_kill_at_any_moment_leaves_the_old_files_or_the_new_ones(tmp_path) -> None:
    old = {"kept": "old", "gone": "old"}
    new = {"kept": "new", "sub/deep/made": "new"}
    after = []
    for moment in range(1, 100):
        root, state = tmp_path / str(moment) / "root", tmp_path / str(moment) / "state"
        root.mkdir(parents=True)
        for name in old:
            (root / name).write_text("old")
        argv = [sys.executable, "-c", KILLED_AT, str(root), str(state), str(moment)]
        ended = subprocess.run(argv, cwd=ROOT, check=False, timeout=60)  # noqa: S603
        ChangeSets(root, state).recover()
        assert content(root) in (old, new), moment
        assert not [path for path in root.iterdir() if path.name.startswith(".")], moment
        after.append(content(root))
        if ended.returncode == 0:
            break
    assert old == after[0]
    assert new == after[-1]
    assert sorted(after, key=lambda files: files == new) == after


def test_a_full_disk_changes_nothing() -> None:
    program = str(find_bubblewrap())
    tree = ["--ro-bind", "/", "/", "--size", "1000000", "--tmpfs", "/mnt", "--dev", "/dev"]
    argv = [program, *tree, "--chdir", str(ROOT), sys.executable, "-c", ON_A_SMALL_DISK]
    ended = subprocess.run(argv, capture_output=True, check=False, text=True, timeout=60, env=dict(os.environ))  # noqa: S603
    assert "[('kept', 'old')]\n" == ended.stdout, ended.stderr
