"""What a confined program can see and touch, and that it ends with all that it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import uuid
from functools import partial
from pathlib import Path

import anyio
import pytest

from mcp_convex.domain.errors import DirectoryUnusable, ToolMissing
from mcp_convex.domain.models import IsolationMode
from mcp_convex.domain.ports import Launch
from mcp_convex.sandboxes import ConfinedLauncher

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
CONFINING: list[IsolationMode] = ["landlock", "bwrap", "strict"]
MODES: list[IsolationMode] = ["none", *CONFINING]
ENV = {"PATH": "/usr/bin:/bin"}

SERVER = """
import asyncio, sys
from pathlib import Path
from mcp_convex.domain.ports import Launch
from mcp_convex.sandboxes import ConfinedLauncher

async def main(mode, folder, script):
    launch = Launch(["/bin/sh", "-c", script], cwd=Path(folder), env={"PATH": "/usr/bin:/bin"}, writable=[Path(folder)])
    print("starting", flush=True)
    await ConfinedLauncher(mode).start(launch, lambda text: print(text, end="", flush=True))
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


async def run(mode: IsolationMode, folder: Path, *argv: str, niceness: int = 0, **more) -> tuple[int, str]:
    output: list[str] = []
    launch = Launch(argv, cwd=folder, env=ENV, writable=[folder], **more)
    process = await ConfinedLauncher(mode, niceness=niceness).start(launch, output.append)
    with anyio.fail_after(60):
        code = await process.wait()
    return code, "".join(output)


def marked() -> str:
    """Return a number of seconds that no other process sleeps."""
    return f"777.{uuid.uuid4().int % 10**9}"


def alive(mark: str) -> list[bytes]:
    """Return the command lines with *mark* in them: those of sleepers, and of what started or confines them."""
    lines = (command_line(process) for process in Path("/proc").glob("[0-9]*"))
    return [line for line in lines if mark.encode() in line]


def command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


async def until_asleep(mark: str, sleepers: int) -> None:
    with anyio.fail_after(60):
        while sum(line.startswith(b"sleep\0") for line in alive(mark)) < sleepers:  # noqa: ASYNC110 - no event tells
            await anyio.sleep(0.01)


async def until_gone(mark: str) -> None:
    with anyio.fail_after(60):
        while alive(mark):  # noqa: ASYNC110 - no event tells
            await anyio.sleep(0.01)


def test_auto_takes_the_best_mode_that_works_here() -> None:
    assert "bwrap" == ConfinedLauncher().mode


@pytest.mark.parametrize("mode", MODES)
async def test_the_exit_code_and_both_streams_come_back(mode, folder) -> None:
    assert (3, "out\nerr\n") == await run(mode, folder, "/bin/sh", "-c", "echo out; echo err >&2; exit 3")


@pytest.mark.parametrize("mode", MODES)
async def test_a_program_that_a_signal_ended_has_the_exit_code_of_a_shell(mode, folder) -> None:
    assert (128 + signal.SIGKILL, "") == await run(mode, folder, "/bin/sh", "-c", "kill -9 $$")


@pytest.mark.parametrize("mode", MODES)
async def test_a_character_that_arrives_in_two_pieces_is_one(mode, folder) -> None:
    script = (
        "const out = (...b) => process.stdout.write(Buffer.from(b)); out(0xe2); setTimeout(() => out(0x82, 0xac), 50)"
    )
    assert (0, "€") == await run(mode, folder, "node", "-e", script)


@pytest.mark.parametrize("mode", MODES)
async def test_nothing_of_this_servers_environment_is_inherited(mode, folder) -> None:
    code, output = await run(mode, folder, "node", "-p", "Object.keys(process.env).join()")
    assert 0 == code
    assert {"PATH"} == set(output.strip().split(",")) - {"PWD", "OLDPWD", "LC_CTYPE"}


@pytest.mark.parametrize("mode", MODES)
async def test_what_it_writes_is_for_its_owner_alone_and_it_leaves_no_core(mode, folder) -> None:
    assert (0, "0\n") == await run(mode, folder, "/bin/sh", "-c", "echo x > made; ulimit -c")
    assert 0o600 == (folder / "made").stat().st_mode & 0o777


@pytest.mark.parametrize("mode", MODES)
async def test_a_descriptor_that_was_passed_can_be_spoken_over(mode, folder) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        script = f"require('fs').writeSync({theirs.fileno()}, 'hello')"
        assert (0, "") == await run(mode, folder, "node", "-e", script, pass_fds=[theirs.fileno()])
        assert b"hello" == ours.recv(10)


@pytest.mark.parametrize("mode", MODES)
async def test_it_yields_as_much_as_it_was_told_also_where_sessions_are_weighed_first(mode, folder) -> None:
    weigh = "cut -d' ' -f3 /proc/self/autogroup" if Path("/proc/self/autogroup").exists() else "echo 7"
    seen = [Path("/proc")] if mode == "landlock" else []  # the others have one of their own, or all
    said = partial(run, mode, folder, "sh", "-c", f"nice; {weigh}", niceness=7, readable=seen)
    own = os.nice(0)

    with anyio.fail_after(60):  # Linux lets whoever is not root weigh one session in a tenth of a second, of all
        niceness, weight = (await said())[1].split()
        while weight not in {"7", str(own + 7)}:
            assert ("0", str(own + 7)) == (weight, niceness)
            niceness, weight = (await said())[1].split()
    assert str(own + 7) == niceness


@pytest.mark.parametrize("mode", CONFINING)
async def test_files_that_were_not_named_cannot_be_read(mode, folder, tmp_path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("canary")
    for path in (secret, Path("/etc/shadow"), Path(f"/proc/{os.getpid()}/environ"), Path.home() / ".npmrc"):
        code, output = await run(mode, folder, "/bin/cat", str(path))
        assert 1 == code, path
        assert "canary" not in output


@pytest.mark.parametrize("mode", CONFINING)
async def test_a_file_that_was_named_can_be_read_and_not_written(mode, folder, tmp_path) -> None:
    named = tmp_path / "named.txt"
    named.write_text("fine")
    script = f"cat {named}; echo changed > {named} || echo refused"
    _, output = await run(mode, folder, "/bin/sh", "-c", script, readable=[named])
    assert output.startswith("fine")
    assert output.endswith("refused\n")
    assert "fine" == named.read_text()


@pytest.mark.parametrize("mode", CONFINING)
async def test_the_system_cannot_be_written(mode, folder) -> None:
    _, output = await run(mode, folder, "/bin/sh", "-c", "touch /usr/made /tmp/made || echo refused")
    assert "refused" in output
    assert not Path("/usr/made").exists()
    assert not Path("/tmp/made").exists()  # noqa: S108 - a private one was meant


@pytest.mark.parametrize("mode", CONFINING)
async def test_other_processes_cannot_be_signalled(mode, folder) -> None:
    _, output = await run(mode, folder, "/bin/sh", "-c", f"kill -0 {os.getpid()} 2>/dev/null || echo refused")
    assert "refused\n" == output


@pytest.mark.parametrize("mode", CONFINING)
async def test_without_a_network_not_even_this_machine_answers(mode, folder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"fetch('http://127.0.0.1:{port}').catch((e) => console.log(e.cause.syscall))"
        assert (0, "connect\n") == await run(mode, folder, "node", "-e", script, network=False)


@pytest.mark.parametrize("mode", MODES)
async def test_killing_ends_what_it_started_even_what_left_its_session(mode, folder) -> None:
    mark = marked()
    script = f"setsid -f sh -c 'exec >/dev/null 2>&1; sleep {mark}'; sleep {mark} & sleep {mark}"
    launch = Launch(["/bin/sh", "-c", script], cwd=folder, env=ENV, writable=[folder])
    process = await ConfinedLauncher(mode).start(launch, print)
    await until_asleep(mark, 3)
    with anyio.fail_after(60):
        await process.kill()
    assert [] == alive(mark)
    assert 137 == await process.wait()


@pytest.mark.parametrize("mode", MODES)
async def test_when_it_ends_by_itself_nothing_of_it_is_left(mode, folder) -> None:
    mark = marked()
    script = f"setsid -f sh -c 'exec >/dev/null 2>&1; touch up; sleep {mark}'; until test -e up; do :; done; exit 0"
    assert 0 == (await run(mode, folder, "/bin/sh", "-c", script))[0]
    assert [] == alive(mark)


@pytest.mark.parametrize("mode", MODES)
async def test_when_the_server_is_killed_nothing_is_left(mode, folder) -> None:
    mark = marked()
    script = f"setsid -f sh -c 'exec >/dev/null 2>&1; sleep {mark}'; sleep {mark} & sleep {mark}"
    server = subprocess.Popen([sys.executable, "-c", SERVER, mode, str(folder), script], cwd=ROOT)  # noqa: ASYNC220, S603
    try:
        await until_asleep(mark, 3)
    finally:
        server.kill()
        server.wait()
    await until_gone(mark)


@pytest.mark.parametrize("mode", ["landlock", "bwrap"])
@pytest.mark.parametrize("after_ms", [0, 1, 2, 4, 8])
async def test_when_the_server_is_killed_while_it_starts_a_program_nothing_is_left(mode, folder, after_ms) -> None:
    mark = marked()
    server = await anyio.open_process([sys.executable, "-c", SERVER, mode, str(folder), f"sleep {mark}"], cwd=ROOT)
    assert server.stdout is not None
    async with server:
        assert (await server.stdout.receive()).startswith(b"starting")
        await anyio.sleep(after_ms / 1000)  # the moment is the point
        server.kill()
    await until_gone(mark)


async def test_a_program_that_is_not_there_is_named(folder) -> None:
    with pytest.raises(ToolMissing, match="no-such-program"):
        await run("bwrap", folder, "no-such-program")


async def test_a_folder_that_is_not_there_is_named(tmp_path) -> None:
    with pytest.raises(DirectoryUnusable, match="missing"):
        await run("bwrap", tmp_path / "missing", "/bin/true")
