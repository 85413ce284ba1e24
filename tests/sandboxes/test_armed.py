"""Commands that are started ahead: used as they wait, or started anew where they would not see what is there now."""

from __future__ import annotations

from pathlib import Path

import anyio
import psutil
import pytest

from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Command
from mcp_convex.sandboxes import LocalSandbox
from tests.sandboxes.conftest import MODES, ignore

pytestmark = pytest.mark.anyio

SCHEMA = FilePath("convex/schema.ts")
SCRIPT = """\
const fs = require("fs");
const read = () => { try { return fs.readFileSync("convex/schema.ts", "utf8"); } catch { return ""; } };
const early = read();
fs.writeFileSync("loaded.txt", "");
setInterval(() => { if (read() === "two") { console.log(early, "two"); process.exit(0); } }, 5);
"""


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "app/convex").mkdir(parents=True)
    (tmp_path / "app/convex/schema.ts").write_text("one")
    (tmp_path / "app/package.json").write_text("{}")
    return tmp_path / "app"


def command(name: str = "a") -> Command:
    return Command(argv=("node", "-e", SCRIPT, name), deadline_s=20)


async def armed(sandbox: LocalSandbox, name: str = "a") -> psutil.Process:
    """Arm the sandbox, wait until the command has loaded, and return its first process."""
    assert await sandbox.arm(command(name))
    stage = Path(sandbox._open_stage().folder)
    with anyio.fail_after(20):
        while not (stage / "loaded.txt").exists():
            await anyio.lowlevel.checkpoint()
    return psutil.Process(sandbox._armed._waiting.process.pid)


async def ran(sandbox: LocalSandbox, name: str = "a") -> str:
    await sandbox.write({SCHEMA: b"two"})
    ended = await sandbox.exec(command(name), on_output=ignore)
    assert (0, False) == (ended.exit_code, ended.timed_out), ended
    return ended.output.strip()


@pytest.mark.parametrize("mode", MODES)
async def test_a_command_that_waits_is_the_one_that_runs_and_sees_the_sources_of_then(root, open_sandbox, mode):
    sandbox = open_sandbox(root, mode)
    await armed(sandbox)

    assert "one two" == await ran(sandbox)


@pytest.mark.parametrize("changed", ["package.json", "convex.json", "node_modules"])
async def test_it_is_started_anew_where_packages_or_settings_have_changed(root, open_sandbox, changed):
    sandbox = open_sandbox(root)
    process = await armed(sandbox)
    (root / changed).write_text('{"functions": "convex"}') if "." in changed else (root / changed).mkdir()

    assert "two two" == await ran(sandbox)
    assert not process.is_running()


async def test_one_that_has_died_is_replaced_unseen(root, open_sandbox):
    sandbox = open_sandbox(root)
    process = await armed(sandbox)
    process.kill()
    with anyio.fail_after(20):
        while not sandbox._armed._waiting.process.has_ended:
            await anyio.lowlevel.checkpoint()

    assert "two two" == await ran(sandbox)


async def test_another_command_leaves_it_waiting(root, open_sandbox):
    sandbox = open_sandbox(root)
    await armed(sandbox)

    other = await sandbox.exec(Command(argv=("node", "-p", "'other'"), deadline_s=20), on_output=ignore)

    assert "other" == other.output.strip()
    assert "one two" == await ran(sandbox)


async def test_arming_again_and_closing_end_what_waited(root, open_sandbox):
    sandbox = open_sandbox(root)
    first = await armed(sandbox)
    second = await armed(sandbox, "b")
    assert (False, True) == (first.is_running(), second.is_running())

    await sandbox.close()

    assert not second.is_running()
