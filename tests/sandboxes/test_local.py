"""A local workspace: its files, and commands that run in a copy of it."""

from __future__ import annotations

import asyncio
import os
import re
from hashlib import sha256
from pathlib import Path

import anyio
import pytest

from mcp_convex.domain.errors import DirectoryUnusable, IsolationUnavailable, NotFound, PathRefused
from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Command
from mcp_convex.sandboxes import ConfinedLauncher, LocalSandbox
from tests.doubles.projects import TEMPLATE
from tests.sandboxes.conftest import MODES, ignore, run

pytestmark = pytest.mark.anyio

SCHEMA = FilePath("convex/schema.ts")


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "work/app/convex").mkdir(parents=True)
    (tmp_path / "work/app/convex/schema.ts").write_text("one")
    (tmp_path / "work/app/node_modules/pkg").mkdir(parents=True)
    (tmp_path / "work/app/node_modules/pkg/index.js").write_text("module.exports = 'pkg'")
    return tmp_path / "work/app"


# --- files -------------------------------------------------------------------------------------------------------


async def test_what_was_written_is_read_and_listed_with_its_hash(root, open_sandbox) -> None:
    sandbox = open_sandbox(root)
    made = FilePath("convex/sub/made.ts")
    await sandbox.write({SCHEMA: b"two", made: b"made"})
    assert b"two" == await sandbox.read(SCHEMA)
    listed = {entry.path: (entry.size, entry.sha256) for entry in await sandbox.list()}
    assert {SCHEMA: (3, sha256(b"two").hexdigest()), made: (4, sha256(b"made").hexdigest())} == listed
    await sandbox.write({SCHEMA: None})
    with pytest.raises(NotFound):
        await sandbox.read(SCHEMA)
    assert [made] == [entry.path for entry in await sandbox.list()]


async def test_packages_hidden_files_locks_and_outputs_are_not_listed(root, open_sandbox) -> None:
    for path in (".env.local", ".git/config", "dist/a.js", "package-lock.json", "convex/_generated/api.js"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("x")
    (root / "convex/dist").mkdir()
    (root / "convex/dist/module.ts").write_text("a module of functions may have any name")
    assert ["convex/dist/module.ts", SCHEMA] == [entry.path for entry in await open_sandbox(root).list()]


async def test_a_component_is_seen_where_its_package_json_says_that_it_is_built(root, open_sandbox) -> None:
    (root / "package.json").write_text('{"exports": {"./convex.config": {"default": "./dist/convex.config.js"}}}')
    for folder in ("dist", "build"):
        (root / folder).mkdir()
        (root / folder / "convex.config.js").write_text("built")
    seen = [entry.path for entry in await open_sandbox(root).list()]
    assert "dist/convex.config.js" in seen
    assert "build/convex.config.js" not in seen


async def test_a_change_that_keeps_size_and_date_is_seen(root, open_sandbox) -> None:
    sandbox = open_sandbox(root, "bwrap")
    before = (root / SCHEMA).stat()
    first = await sandbox.list()
    assert "one" == (await run(sandbox, "cat", SCHEMA)).output
    await sandbox.write({SCHEMA: b"two"})
    os.utime(root / SCHEMA, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert first != await sandbox.list()
    assert "two" == (await run(sandbox, "cat", SCHEMA)).output


@pytest.mark.parametrize("target", ["outside", "work/app/.env.local", "work/app/node_modules/pkg/index.js"])
async def test_a_link_to_what_tools_may_not_touch_is_not_followed(root, open_sandbox, tmp_path, target) -> None:
    (tmp_path / target).write_text("canary")
    link = FilePath("convex/link.ts")
    (root / link).symlink_to(tmp_path / target)
    sandbox = open_sandbox(root)
    with pytest.raises(PathRefused):
        await sandbox.read(link)
    with pytest.raises(PathRefused):
        await sandbox.write({link: b"changed"})
    assert [SCHEMA] == [entry.path for entry in await sandbox.list()]
    assert "canary" == (tmp_path / target).read_text()


async def test_a_folder_that_is_a_link_out_of_the_workspace_is_not_entered(root, open_sandbox, tmp_path) -> None:
    (root / "convex/out").symlink_to(tmp_path)
    with pytest.raises(PathRefused):
        await open_sandbox(root).write({FilePath("convex/out/made.ts"): b"x"})
    assert not (tmp_path / "made.ts").exists()


async def test_a_link_within_the_sources_is_the_file_that_it_names(root, open_sandbox) -> None:
    (root / "convex/same.ts").symlink_to("schema.ts")
    sandbox = open_sandbox(root, "bwrap")
    await sandbox.write({FilePath("convex/same.ts"): b"two"})
    assert "two" == (root / SCHEMA).read_text()
    assert "two" == (await run(sandbox, "cat", "convex/same.ts")).output


async def test_a_folder_is_no_file(root, open_sandbox) -> None:
    with pytest.raises(NotFound):
        await open_sandbox(root).read(FilePath("convex"))
    with pytest.raises(PathRefused):
        await open_sandbox(root).write({FilePath("convex"): b"x"})


async def test_a_directory_that_is_not_there_is_named(tmp_path, open_sandbox) -> None:
    with pytest.raises(DirectoryUnusable, match="missing"):
        await open_sandbox(tmp_path / "missing").list()


# --- commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_a_command_sees_the_sources_and_the_packages_and_nothing_hidden(root, open_sandbox, mode) -> None:
    (root / ".env.local").write_text("canary")
    (root / ".git").mkdir()
    sandbox = open_sandbox(root, mode)
    script = (
        "console.log(fs.readdirSync('.').sort().join(), fs.readFileSync('convex/schema.ts', 'utf8'), require('pkg'))"
    )
    ended = await run(sandbox, "node", "-e", script)
    assert (0, ".tmp,convex,node_modules one pkg\n") == (ended.exit_code, ended.output)


@pytest.mark.parametrize("mode", MODES)
async def test_what_a_command_writes_stays_in_its_copy_unless_it_is_kept(root, open_sandbox, mode) -> None:
    sandbox = open_sandbox(root, mode)
    script = (
        "echo changed > convex/schema.ts; echo x > made.ts; cd convex; mkdir _generated; echo api > _generated/api.js"
    )
    assert 0 == (await run(sandbox, "/bin/sh", "-c", script, keep=("convex/_generated",))).exit_code
    assert "one" == (root / SCHEMA).read_text()
    assert "api\n" == (root / "convex/_generated/api.js").read_text()
    assert not (root / "made.ts").exists()
    script = "cat convex/schema.ts; ls; rm convex/_generated/api.js"
    ended = await run(sandbox, "/bin/sh", "-c", script, keep=("convex/_generated",))
    assert "oneconvex\nnode_modules\n" == ended.output
    assert not (root / "convex/_generated/api.js").exists()


async def test_a_kept_file_that_was_written_again_with_the_same_content_is_not_touched(root, open_sandbox) -> None:
    before = (root / SCHEMA).stat()
    await run(
        open_sandbox(root), "/bin/sh", "-c", "rm convex/schema.ts; printf one > convex/schema.ts", keep=("convex",)
    )
    assert before == (root / SCHEMA).stat()


@pytest.mark.parametrize("mode", MODES)
async def test_links_that_a_command_leaves_lead_nowhere(root, open_sandbox, tmp_path, mode) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary.ts").write_text("canary")
    sandbox = open_sandbox(root, mode)
    script = f"rm -r convex; ln -s {outside} convex; ln -s {outside}/canary.ts made.ts; ln -s {outside} kept"
    ended = await run(sandbox, "/bin/sh", "-c", script, keep=("kept", "made.ts"))
    assert 0 == ended.exit_code
    assert ["convex", "node_modules"] == sorted(path.name for path in root.iterdir())
    await sandbox.write({FilePath("convex/canary.ts"): b"mine"})
    assert "mine" == (await run(sandbox, "cat", "convex/canary.ts")).output
    assert "canary" == (outside / "canary.ts").read_text()


@pytest.mark.parametrize("mode", MODES)
async def test_a_command_that_takes_too_long_is_ended_with_what_it_said(root, open_sandbox, mode) -> None:
    ended = await run(open_sandbox(root, mode), "/bin/sh", "-c", "echo begun; sleep 1000", deadline_s=1)
    assert (None, "begun\n", True) == (ended.exit_code, ended.output, ended.timed_out)


@pytest.mark.parametrize("mode", MODES)
async def test_a_command_is_ended_when_there_is_nothing_more_to_wait_for(root, open_sandbox, mode) -> None:
    begun = anyio.Event()
    command = Command(argv=["/bin/sh", "-c", "echo begun; sleep 1000"], deadline_s=60)
    ended = await open_sandbox(root, mode).exec(command, on_output=lambda _: begun.set(), until=begun.wait)
    assert (None, "begun\n", False) == (ended.exit_code, ended.output, ended.timed_out)


async def test_a_call_that_is_cancelled_ends_its_command(root, open_sandbox) -> None:
    sandbox = open_sandbox(root, "bwrap")
    begun = anyio.Event()
    command = Command(argv=["/bin/sh", "-c", "echo begun; sleep 1000"], deadline_s=60)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: sandbox.exec(command, on_output=lambda _: begun.set()))
        await begun.wait()
        tasks.cancel_scope.cancel()
    with anyio.fail_after(60):
        assert "again\n" == (await run(sandbox, "echo", "again")).output


async def test_of_a_long_output_the_end_is_kept_and_colours_are_removed(root, open_sandbox) -> None:
    script = "process.stdout.write('x'.repeat(600000) + '\\u001b[31mred\\u001b[39m\\u001b]8;;link\\u0007')"
    heard: list[str] = []
    command = Command(argv=["node", "-e", script], deadline_s=60)
    ended = await open_sandbox(root).exec(command, on_output=heard.append)
    assert 256 * 1024 >= len(ended.output)
    assert re.fullmatch("x{200000,}red", ended.output)
    assert 600000 < len("".join(heard))


async def test_paths_in_the_output_are_those_of_the_workspace(root, open_sandbox) -> None:
    for mode in MODES:
        assert f"{root}\n" == (await run(open_sandbox(root, mode, state=mode), "pwd")).output


async def test_two_servers_over_one_directory_do_not_meet(root, open_sandbox) -> None:
    one, two = open_sandbox(root, "bwrap"), open_sandbox(root, "bwrap")
    both = anyio.Event()
    heard: list[str] = []

    def hear(text: str) -> None:
        heard.append(text)
        if len(heard) == 2:
            both.set()

    command = Command(
        argv=["/bin/sh", "-c", "ls made 2>/dev/null; echo x > made; echo written; sleep 1000"], deadline_s=60
    )
    async with anyio.create_task_group() as tasks:
        for sandbox in (one, two):
            tasks.start_soon(lambda sandbox=sandbox: sandbox.exec(command, on_output=hear, until=both.wait))
    assert ["written\n", "written\n"] == heard


# --- the gate ----------------------------------------------------------------------------------------------------


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ngate")
    writer.close()


@pytest.mark.parametrize("mode", MODES)
async def test_a_command_reaches_the_gate(root, tmp_path, mode) -> None:
    path = tmp_path / "gate"
    tcp = await asyncio.start_server(answer, "127.0.0.1", 0)
    unix = await asyncio.start_unix_server(answer, path)
    async with tcp, unix:
        url = f"http://127.0.0.1:{tcp.sockets[0].getsockname()[1]}"
        sandbox = LocalSandbox(root, tmp_path / "state", ConfinedLauncher(mode), TEMPLATE, gate_socket=lambda: path)
        script = """
          const pause = () => new Promise((done) => setTimeout(done, 20))
          const ask = (url, tries) => fetch(url).then((r) => r.text())
            .catch((e) => tries ? pause().then(() => ask(url, tries - 1)) : e.cause.syscall)
          ask(process.argv[1], 200).then(console.log).then(() => ask(process.argv[2], 0)).then(console.log)
        """
        ended = await run(sandbox, "node", "-e", script, sandbox.gate_url(url), url)
        await sandbox.close()
    assert "gate\n{}\n".format("connect" if mode == "strict" else "gate") == ended.output


async def test_strict_without_a_socket_of_the_gate_runs_nothing(root, tmp_path) -> None:
    sandbox = LocalSandbox(root, tmp_path / "state", ConfinedLauncher("strict"), TEMPLATE)
    with pytest.raises(IsolationUnavailable):
        await sandbox.exec(Command(argv=["true"], deadline_s=5), on_output=ignore)
    await sandbox.close()
