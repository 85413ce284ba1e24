"""Commands that are started ahead: used as they wait, or started anew where they would not see what is there now."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import anyio
import psutil
import pytest

from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Command, Sandbox
from tests.doubles.e2b.opening import open_sandbox as open_e2b_sandbox
from tests.sandboxes.conftest import MODES, ignore, no_progress

pytestmark = pytest.mark.anyio

SCHEMA = FilePath("convex/schema.ts")
SCRIPT = """\
const fs = require("fs");
const read = () => { try { return fs.readFileSync("convex/schema.ts", "utf8"); } catch { return ""; } };
const early = read();
process.title = process.argv[1];
setInterval(() => { if (read() === "two") { console.log(early, "two"); process.exit(0); } }, 5);
"""


@dataclass
class Place:
    """A sandbox that can be armed, and the directory that something else than this server sees as the workspace."""

    sandbox: Sandbox
    root: Path
    mark: str
    """What the commands of this test are known by."""

    def command(self, name: str = "a") -> Command:
        return Command(argv=("node", "-e", SCRIPT, f"{self.mark}-{name}"), deadline_s=20)

    async def armed(self, name: str = "a") -> psutil.Process:
        """Arm the sandbox, wait until the command has loaded, and return its process."""
        assert await self.sandbox.arm(self.command(name))
        with anyio.fail_after(60):
            while not (found := self.loaded(name)):
                await anyio.lowlevel.checkpoint()
        return found[0]

    def loaded(self, name: str) -> list[psutil.Process]:
        return [
            one for one in psutil.process_iter(["cmdline"]) if (one.info["cmdline"] or [""])[0] == self._title(name)
        ]

    async def ran(self, name: str = "a") -> str:
        await self.sandbox.write({SCHEMA: b"two"})
        ended = await self.sandbox.exec(self.command(name), on_output=ignore)
        assert (0, False) == (ended.exit_code, ended.timed_out), ended
        return ended.output.strip()

    async def other(self) -> str:
        """Run a command that nothing waits for."""
        other = Command(argv=("node", "-p", "'other'"), deadline_s=20)
        return (await self.sandbox.exec(other, on_output=ignore)).output.strip()

    def _title(self, name: str) -> str:
        return f"{self.mark}-{name}"


@pytest.fixture(params=[*MODES, "e2b"])
async def place(request, tmp_path, open_sandbox, cloud, store) -> AsyncIterator[Place]:
    """A sandbox of each kind, with a schema."""
    mark = f"waits-{uuid4().hex[:12]}"
    if request.param == "e2b":
        sandbox = open_e2b_sandbox(cloud, store, mark)
        await sandbox.ensure(no_progress)
        [box] = cloud.alive
        await sandbox.write({SCHEMA: b"one"})
        yield Place(sandbox, box.home / "app", mark)
        await sandbox.close()
        await box.end()
        return
    root = tmp_path / "app"
    (root / "convex").mkdir(parents=True)
    (root / SCHEMA).write_text("one")
    (root / "package.json").write_text("{}")
    yield Place(open_sandbox(root, request.param), root, mark)


async def test_a_command_that_waits_is_the_one_that_runs_and_sees_the_sources_of_then(place):
    await place.armed()

    assert "one two" == await place.ran()


@pytest.mark.parametrize("changed", ["package.json", "convex.json", "node_modules"])
@pytest.mark.parametrize("place", ["none", "e2b"], indirect=True)
async def test_it_is_started_anew_where_packages_or_settings_have_changed(place, changed):
    process = await place.armed()
    there = place.root / changed
    if changed.endswith(".json"):
        there.write_text('{"functions": "convex"}')
    else:
        there.unlink(missing_ok=True)
        there.mkdir()

    assert "two two" == await place.ran()
    assert not process.is_running()


@pytest.mark.parametrize("place", ["none", "e2b"], indirect=True)
async def test_one_that_has_died_is_replaced_unseen(place):
    process = await place.armed()
    process.kill()
    assert "other" == await place.other()

    assert "two two" == await place.ran()


@pytest.mark.parametrize("place", ["none", "e2b"], indirect=True)
async def test_another_command_leaves_it_waiting(place):
    await place.armed()

    assert "other" == await place.other()
    await place.sandbox.list()

    assert "one two" == await place.ran()


@pytest.mark.parametrize("place", ["none", "e2b"], indirect=True)
async def test_arming_again_and_closing_end_what_waited(place):
    first = await place.armed()
    second = await place.armed("b")
    assert (False, True) == (first.is_running(), second.is_running())

    await place.sandbox.close()

    assert not second.is_running()
