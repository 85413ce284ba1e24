"""What every sandbox does, so that services cannot tell them apart: the same tests over a directory and over E2B."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import anyio
import pytest

from mcp_convex.domain.errors import NotFound, PathRefused
from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Command, Ended, Sandbox, Staged
from mcp_convex.sandboxes import ConfinedLauncher, LocalSandbox
from tests.doubles.e2b.opening import open_sandbox
from tests.doubles.projects import TEMPLATE, make_project
from tests.sandboxes.conftest import TSCONFIG, ignore, no_progress

pytestmark = pytest.mark.anyio

SCHEMA = FilePath("convex/schema.ts")
GENERATED = FilePath("convex/_generated")


@dataclass
class Place:
    """A sandbox, and the directory that something else than this server sees as the workspace."""

    sandbox: Sandbox
    root: Path

    async def run(self, *argv: str, keep: tuple[FilePath, ...] = (), deadline_s: float = 30) -> Ended:
        command = Command(argv=argv, deadline_s=deadline_s, env={"CI": "1"}, keep=keep)
        return await self.sandbox.exec(command, on_output=ignore)

    async def shell(self, script: str, **about) -> Ended:
        return await self.run("/bin/sh", "-c", script, **about)

    async def paths(self) -> list[str]:
        return [entry.path for entry in await self.sandbox.list()]

    def elsewhere(self, path: str, text: str) -> None:
        """Write as something else does."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)


@pytest.fixture(params=["local", "e2b"])
async def place(request, tmp_path, cloud, store) -> AsyncIterator[Place]:
    """A sandbox that is ready, with a schema."""
    if request.param == "local":
        root = make_project(tmp_path / "app", {"convex/tsconfig.json": TSCONFIG})
        sandbox: Sandbox = LocalSandbox(root, tmp_path / "state", ConfinedLauncher("bwrap"), TEMPLATE)
        await sandbox.ensure(no_progress)
    else:
        sandbox = open_sandbox(cloud, store, request.node.name)
        await sandbox.ensure(no_progress)
        root = cloud.alive[-1].home / "app"
    await sandbox.write({SCHEMA: b"one"})
    yield Place(sandbox, root)
    await sandbox.close()
    for box in cloud.alive:
        await box.end()


async def test_what_was_written_is_read_listed_with_its_hash_and_seen_by_commands(place) -> None:
    made = FilePath("convex/sub/made.ts")
    await place.sandbox.write({SCHEMA: b"two", made: b"made \xff\x00 not text"})
    assert b"two" == await place.sandbox.read(SCHEMA)
    assert b"made \xff\x00 not text" == await place.sandbox.read(made)
    listed = {entry.path: (entry.size, entry.sha256) for entry in await place.sandbox.list()}
    assert (3, sha256(b"two").hexdigest()) == listed[SCHEMA]
    assert made in listed
    assert "two" == (await place.run("cat", SCHEMA)).output
    await place.sandbox.write({SCHEMA: None, made: b"still"})
    with pytest.raises(NotFound):
        await place.sandbox.read(SCHEMA)
    assert SCHEMA not in await place.paths()
    assert "still\n" == (await place.shell(f"cat {made}; echo; ls {SCHEMA} 2>/dev/null")).output


async def test_what_a_command_was_given_is_told_and_can_be_read_whatever_is_written_meanwhile(place) -> None:
    listed = await place.sandbox.list()
    given: list[Staged] = []
    command = Command(argv=("cat", SCHEMA), deadline_s=30, on_staged=given.append)
    await place.sandbox.exec(command, on_output=ignore)
    (staged,) = given
    assert listed == staged.files
    for file in staged.files:
        assert file.sha256 == sha256(await staged.read(file.path)).hexdigest()

    await place.sandbox.write({SCHEMA: b"two", FilePath("convex/late.ts"): b"late"})
    after = sha256(await staged.read(SCHEMA)).hexdigest()
    is_the_same = after == {file.path: file.sha256 for file in staged.files}[SCHEMA]
    assert is_the_same or b"two" == await staged.read(SCHEMA)  # its digest tells
    assert "convex/late.ts" not in {file.path for file in staged.files}
    with pytest.raises(NotFound):
        await staged.read(FilePath("convex/never.ts"))


async def test_what_something_else_wrote_or_deleted_counts(place) -> None:
    place.elsewhere("convex/theirs.ts", "theirs")
    place.elsewhere(SCHEMA, "changed")
    assert b"changed" == await place.sandbox.read(SCHEMA)
    assert "convex/theirs.ts" in await place.paths()
    assert "theirschanged" == (await place.shell("cat convex/theirs.ts convex/schema.ts")).output
    (place.root / SCHEMA).unlink()
    assert SCHEMA not in await place.paths()


async def test_packages_hidden_files_locks_and_outputs_are_not_listed(place) -> None:
    for path in (".env.local", ".git/config", "dist/a.js", "convex/_generated/api.js", "convex/dist/module.ts"):
        place.elsewhere(path, "x")
    listed = await place.paths()
    assert {"convex/dist/module.ts", SCHEMA} <= set(listed)
    assert not [path for path in listed if path.startswith((".", "dist", "node_modules", "package-lock", "convex/_"))]
    assert sorted(listed) == listed


async def test_a_hidden_file_is_read_and_written_by_its_name_and_no_command_sees_it(place) -> None:
    name = FilePath(".env.local")
    place.elsewhere(name, "A=theirs")
    assert b"A=theirs" == await place.sandbox.read(name)
    await place.sandbox.write({name: b"A=ours"})
    assert "A=ours" == (place.root / name).read_text()
    assert 1 == (await place.run("cat", name)).exit_code


async def test_a_file_cannot_take_the_place_of_a_folder(place) -> None:
    with pytest.raises(PathRefused):
        await place.sandbox.write({FilePath("convex"): b""})


async def test_a_link_out_of_the_workspace_is_neither_listed_nor_read_nor_seen(place) -> None:
    (place.root.parent / "outside.ts").write_text("canary")
    (place.root / "convex/link.ts").symlink_to("../../outside.ts")
    assert "convex/link.ts" not in await place.paths()
    with pytest.raises((NotFound, PathRefused)):
        await place.sandbox.read(FilePath("convex/link.ts"))
    assert "canary" not in (await place.shell("cat convex/link.ts")).output


async def test_a_command_says_how_it_ended_and_its_output_comes_as_it_is_made(place) -> None:
    heard = anyio.Event()
    script = "echo first; while [ ! -e /tmp/never ]; do sleep 0.01; done"

    def listen(text: str) -> None:
        if "first" in text:
            heard.set()

    command = Command(argv=["/bin/sh", "-c", script], deadline_s=30)
    with anyio.fail_after(60):
        ended = await place.sandbox.exec(command, on_output=listen, until=heard.wait)
    assert (None, False) == (ended.exit_code, ended.timed_out)
    ended = await place.shell("echo out; echo '\033[31merr\033[0m' >&2; exit 3")
    assert (3, ["err", "out"]) == (ended.exit_code, sorted(ended.output.split()))


async def test_of_what_a_command_makes_only_the_folders_to_keep_are_kept(place) -> None:
    place.elsewhere(f"{GENERATED}/old.js", "old")
    script = "cd convex; mkdir -p _generated; echo new > _generated/api.js; rm _generated/old.js; echo x > b.ts"
    await place.shell(script, keep=(GENERATED,))
    assert b"new\n" == await place.sandbox.read(FilePath(f"{GENERATED}/api.js"))
    assert "new\n" == (place.root / GENERATED / "api.js").read_text()
    assert not (place.root / GENERATED / "old.js").exists()
    assert "convex/b.ts" not in await place.paths()
    assert 1 == (await place.run("cat", "convex/b.ts")).exit_code


async def test_after_its_deadline_nothing_of_a_command_is_left(place) -> None:
    mark = f"4711.{os.getpid()}"  # others may run this test on this machine
    script = f"setsid -f sleep {mark}1; (sleep {mark}2 &) ; env -i sleep {mark}3"
    with anyio.fail_after(60):
        ended = await place.shell(script, deadline_s=0.5)
    assert (None, True) == (ended.exit_code, ended.timed_out)
    assert [] == [name for name in processes() if mark in name]


async def test_a_command_has_an_environment_of_its_own(place) -> None:
    ended = await place.run("node", "-p", "Object.keys(process.env).sort().join()")
    assert {"CI", "HOME", "LANG", "PATH", "TMPDIR"} == set(ended.output.strip().split(",")) - {
        "PWD",
        "OLDPWD",
        "MCP_CONVEX_RUN",
    }
    assert "written" == (await place.shell("echo -n written > $TMPDIR/a; cat $TMPDIR/a")).output


async def test_the_cli_of_the_project_runs_and_finds_its_compiler(place) -> None:
    assert "1.48.0\n" == (await place.run(*place.sandbox.convex_cli(), "--version")).output
    assert place.sandbox.checks_types()
    assert str(place.sandbox.seen_at()) == (await place.run("pwd")).output.strip()


async def test_a_convex_json_cannot_lead_a_command_elsewhere(place) -> None:
    await place.sandbox.write({FilePath("convex.json"): b'{"authKit": {}, "node": {"externalPackages": ["sharp"]}}'})
    seen = json.loads((await place.run("cat", "convex.json")).output)
    assert {"node": {"externalPackages": ["sharp"]}, "aiFiles": {"enabled": False}} == seen


async def test_a_compiler_that_keeps_its_progress_below_the_packages_says_what_it_says_elsewhere(place) -> None:
    kept = '"incremental": true, "tsBuildInfoFile": "../node_modules/.cache/app.tsbuildinfo", "noEmit": true,'
    settings = TSCONFIG.replace('"noEmit": true,', kept)
    await place.sandbox.write({FilePath("convex/tsconfig.json"): settings.encode(), SCHEMA: b"export const one = 1;"})
    ended = await place.run("node", "node_modules/typescript/bin/tsc", "--project", "convex")
    assert (0, "") == (ended.exit_code, ended.output)


async def test_a_command_reaches_the_gate_and_large_bodies_pass_both_ways(place) -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    gate = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    script = """
        const body = Buffer.alloc(3_000_000, "é");
        Promise.all([1, 2, 3].map((n) => fetch(process.argv[1] + "/" + n, { method: "POST", body })
            .then((answer) => answer.arrayBuffer()).then((data) => body.equals(Buffer.from(data)))))
            .then((same) => console.log(same.join()))"""
    argv = ["node", "-e", script, place.sandbox.gate_url(gate)]
    ended = await place.sandbox.exec(Command(argv=argv, deadline_s=30, gate=gate), on_output=ignore)
    server.close()
    assert "true,true,true\n" == ended.output


async def test_examples_are_written_when_asked_and_never_over_a_file(place) -> None:
    written = await place.sandbox.init()
    assert "convex/messages.ts" in written
    assert SCHEMA not in written
    assert b"one" == await place.sandbox.read(SCHEMA)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request with its own body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
    body = await reader.readexactly(length)
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % length + body)
    await writer.drain()
    writer.close()


def processes() -> list[str]:
    """Return the command lines of this machine's processes."""
    found = []
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(line.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:  # it ended
            continue
    return found


async def test_what_changes_is_noticed_whoever_changes_it_and_also_in_new_folders(place) -> None:
    with anyio.fail_after(60):
        async with aclosing(place.sandbox.watched()) as changes:
            await anext(changes)
            for path in ("convex/schema.ts", "convex/new/deep/first.ts", "convex/new/deep/second.ts"):
                place.elsewhere(path, f"// {path}")
                while f"// {path}".encode() != await seen(place, path):
                    await anext(changes)
            await place.sandbox.write({FilePath("convex/ours.ts"): b"ours"})
            await anext(changes)


async def seen(place: Place, path: str) -> bytes | None:
    """Return what stands at *path*, if it does, as a list of the files shows it."""
    return await place.sandbox.read(FilePath(path)) if path in await place.paths() else None
