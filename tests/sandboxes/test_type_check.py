"""The compiler beside a command: what it says counts where it saw what the command left, to the byte."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import pytest

from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Command
from mcp_convex.sandboxes import LocalSandbox
from tests.sandboxes.conftest import MODES, ignore

pytestmark = pytest.mark.anyio

API = FilePath("convex/_generated/api.d.ts")
COMPILER = """\
const fs = require("fs");
if (process.argv.slice(2, 6).join(" ") !== "--project convex --pretty true") throw new Error(process.argv.join(" "));
const seen = fs.readdirSync("convex").concat(fs.readFileSync("convex/_generated/api.d.ts", "utf8"));
fs.writeFileSync(".tmp/compiled", "");
process.stdout.write("\\x1b[31m" + seen.join() + "\\x1b[0m");
process.exit(fs.existsSync("convex/red.ts") ? 2 : 0);
"""
PACKAGE = "node_modules/typescript/package.json"
GENERATE = 'require("fs").writeFileSync("convex/_generated/api.d.ts", process.argv[1])'
SEEN = "_generated,messages.ts,tsconfig.json"


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "app"
    files = {"package.json": "{}", API: "one", "convex/messages.ts": "", "convex/tsconfig.json": "{}"}
    for path, text in {**files, "node_modules/typescript/bin/tsc": COMPILER, PACKAGE: "{}"}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


async def node_platform() -> str:
    """Return what Node calls this machine, as the names of packages have it."""
    said = 'process.stdout.write(process.platform + "-" + process.arch)'
    return (await anyio.run_process(["node", "-e", said])).stdout.decode()


async def checked(sandbox: LocalSandbox, generates: str) -> tuple[int | None, str] | None:
    """Return what the compiler says beside a command that generates *generates*."""
    said: list[tuple[int | None, str] | None] = []
    command = Command(argv=("node", "-e", GENERATE, generates), deadline_s=20)
    check = sandbox.type_check()
    async with check:
        await sandbox.exec(command, on_output=ignore)
        ended = await check.ended()
        said.append(None if ended is None else (ended.exit_code, ended.output))
    return said[0]


def runs(sandbox: LocalSandbox) -> list[bool]:
    """Return whether the compiler ran on its own copy, and whether in that of the command."""
    stages = (sandbox._stage_of_compiler, sandbox._stage)
    return [stage is not None and (stage.folder / ".tmp/compiled").exists() for stage in stages]


@pytest.mark.parametrize("mode", MODES)
async def test_what_it_said_early_counts_where_the_command_left_the_same(root, open_sandbox, mode):
    sandbox = open_sandbox(root, mode)

    assert (0, f"{SEEN},one") == await checked(sandbox, "one")
    assert [True, False] == runs(sandbox)


async def test_where_it_found_something_it_runs_again_as_the_cli_runs_it(root, open_sandbox):
    (root / "convex/red.ts").write_text("")
    sandbox = open_sandbox(root)

    assert (2, SEEN.replace("tsconfig", "red.ts,tsconfig") + ",one") == await checked(sandbox, "one")
    assert runs(sandbox)[1]


@pytest.mark.parametrize("mode", MODES)
async def test_it_runs_again_on_what_the_command_has_changed(root, open_sandbox, mode):
    sandbox = open_sandbox(root, mode)

    assert (0, f"{SEEN},two") == await checked(sandbox, "two")
    assert runs(sandbox)[1]


async def test_it_runs_again_where_another_hand_wrote_meanwhile(root, open_sandbox):
    sandbox = open_sandbox(root)
    check = sandbox.type_check()
    async with check:
        await check._own
        await sandbox.write({FilePath("convex/late.ts"): b""})
        await sandbox.exec(Command(argv=("node", "-e", GENERATE, "one"), deadline_s=20), on_output=ignore)
        ended = await check.ended()

    assert "late.ts" in ended.output


@pytest.mark.parametrize(
    "missing", ["convex/tsconfig.json", "node_modules/typescript/bin/tsc", "the compiler that convex.json names"]
)
async def test_without_a_compiler_or_its_settings_there_is_nothing_to_say(root, open_sandbox, missing):
    if missing.startswith("the"):
        (root / "convex.json").write_text(json.dumps({"typescriptCompiler": "tsgo"}))
    else:
        (root / missing).unlink()
    sandbox = open_sandbox(root)

    assert await checked(sandbox, "one") is None
    assert not sandbox.checks_types()


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("tsc", "@typescript/native/bin/tsc"),
        ("tsgo", "@typescript/native-preview/bin/tsgo"),
        ("tsgo", "@typescript/native-preview/bin/tsgo.js"),
    ],
)
async def test_it_is_the_compiler_that_the_cli_would_take(root, open_sandbox, name, place):
    (root / "convex.json").write_text(json.dumps({"typescriptCompiler": name}))
    compiler = root / "node_modules" / place
    compiler.parent.mkdir(parents=True)
    compiler.write_text('console.log("it is I")')
    (compiler.parents[1] / "package.json").write_text("{}")

    assert (0, "it is I\n") == await checked(open_sandbox(root), "one")


@pytest.mark.parametrize(("version", "threads"), [("5.9.3", False), ("7.0.2", True), ("7.1.0-dev.20260707.1", True)])
async def test_beside_something_it_yields_and_takes_fewer_threads_where_it_has_several(
    root, open_sandbox, version, threads
):
    script = "console.log(require('os').getPriority(), process.argv.slice(6).join(' '))"
    (root / "node_modules/typescript/bin/tsc").write_text(script)
    (root / PACKAGE).write_text(json.dumps({"version": version}))

    _, said = await checked(open_sandbox(root), "one") or (None, "")

    niceness, _, flags = said.partition(" ")
    assert str(os.nice(0) + 10) == niceness
    assert threads == flags.startswith("--checkers ")


@pytest.mark.parametrize(
    ("package", "script", "of_program"),
    [
        ("typescript", "typescript/bin/tsc", "7.0.2"),
        ("@typescript/native-preview", "@typescript/native-preview/bin/tsgo", "7.0.2"),
        ("typescript", "typescript/bin/tsc", "7.0.1"),
    ],
)
async def test_what_the_script_only_starts_is_started_itself_where_it_is_of_one_version(
    root, open_sandbox, package, script, of_program
):
    name = Path(script).name
    (root / "convex.json").write_text(json.dumps({"typescriptCompiler": name}))
    platform = f"@typescript/{package.rpartition('/')[2]}-{await node_platform()}"
    for path, text in {
        script: 'console.log("the script")',
        f"{package}/package.json": json.dumps({"name": package, "version": "7.0.2"}),
        f"{platform}/package.json": json.dumps({"version": of_program}),
        f"{platform}/lib/{name}": "#!/bin/sh\necho the program\n",
    }.items():
        (root / "node_modules" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "node_modules" / path).write_text(text)
    (root / "node_modules" / platform / "lib" / name).chmod(0o700)

    started = "the program" if of_program == "7.0.2" else "the script"
    assert (0, f"{started}\n") == await checked(open_sandbox(root), "one")


async def test_on_leaving_it_is_ended(root, open_sandbox):
    (root / "node_modules/typescript/bin/tsc").write_text("setInterval(() => {}, 1000)")
    sandbox = open_sandbox(root)
    check = sandbox.type_check()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:

            async def ask():
                assert (await check.ended()).exit_code is None

            async with check:
                await sandbox.exec(Command(argv=("node", "-e", GENERATE, "one"), deadline_s=20), on_output=ignore)
                tasks.start_soon(ask)
                await anyio.lowlevel.checkpoint()
