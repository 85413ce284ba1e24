"""A machine, a workspace or a setting that is not fit for the work: it is named, with what to do; nothing changes."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import socket
import sys
import tarfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import anyio
import pytest
from mcp import Client

from mcp_convex.doctor import examine
from mcp_convex.sandboxes import find_node
from mcp_convex.sandboxes.isolation.bubblewrap import find_bubblewrap
from mcp_convex.settings import Settings, load
from tests.doubles.deployment import fake_deployment
from tests.system.conftest import link
from tests.system.spawning import command, spawned
from tests.world import APP, World, make_settings

pytestmark = pytest.mark.anyio

HELD_TO_PERMISSIONS = () if os.geteuid() else ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Starts a program for which file permissions count, though it may be root's."""
NEEDS_NODE = ("check_files", "push", "list_functions")


def plain(folder: Path, **flags: str) -> Settings:
    """Return settings of a server that loads no CLI ahead."""
    return make_settings(folder, armed_pushes=False, **flags)


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[World]:
    """Serve in this process, where the machine is fit and the settings say what is not."""
    async with Client(World.server(settings)) as client:
        yield World(client=client, settings=settings, era="auto")


async def ran(
    settings: Settings, *words: str, env: Mapping[str, str] | None = None, under: tuple[str, ...] = ()
) -> CompletedProcess[bytes]:
    """Run `mcp-convex` with *words* to its end."""
    with anyio.fail_after(60):
        return await anyio.run_process(
            [*under, *command(settings, *words)], check=False, env={**os.environ, **(env or {})}
        )


async def refusal(world: World, tool: str, **arguments: Any) -> dict[str, str]:
    """Return the error that *tool* answers with, which has to say what to do."""
    answered = await world.call(tool, **arguments)
    assert answered.is_error, answered.structured_content
    error: dict[str, str] = answered.structured_content["error"]
    assert error["next_step"]
    return error


def bare(folder: Path, files: Mapping[str, str], **flags: str) -> Settings:
    """Return settings for a workspace below *folder* that holds *files*, and no packages."""
    (folder / "app").mkdir()
    for name, text in files.items():
        (folder / "app" / name).write_text(text)
    places = {"workspace": str(folder / "app"), "data_dir": str(folder / "data")}
    return load({**places, "armed_pushes": False, **flags}, {})


def content(folder: Path) -> dict[str, bytes | None]:
    """Return every file and folder below *folder*, but for packages."""
    found = (path for path in folder.rglob("*") if "node_modules" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}


def only_programs(folder: Path, **scripts: str) -> dict[str, str]:
    """Return an environment whose PATH holds nothing but *scripts*."""
    (folder / "bin").mkdir()
    for name, script in scripts.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    return {"PATH": str(folder / "bin")}


def on_a_small_disk(place: Path, size: int) -> tuple[str, ...]:
    """Return what starts a program for which *place* is an empty disk of *size* bytes."""
    return (str(find_bubblewrap()), "--dev-bind", "/", "/", "--size", str(size), "--tmpfs", str(place), "--")


def packed(folder: Path, files: Mapping[str, str]) -> Path:
    """Return a package of *files*, as npm takes it."""
    with tarfile.open(folder / "package.tgz", "w:gz") as package:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text.encode())
            package.addfile(entry, io.BytesIO(text.encode()))
    return folder / "package.tgz"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.mark.parametrize(
    ("programs", "says"), [({}, "no `node` on the PATH"), ({"node": "echo v18.20.0/usr/bin/node"}, "is v18.20.0")]
)
async def test_node_that_is_missing_or_too_old_is_named_by_all_that_need_it(tmp_path, programs, says):
    settings, env = plain(tmp_path), only_programs(tmp_path, **programs)

    looked = await ran(settings, "doctor", env=env)
    async with spawned(settings, env=env) as world:
        await world.write(APP)
        before = content(settings.workspace)
        errors = [await refusal(world, tool) for tool in NEEDS_NODE]

    assert (1, 1) == (looked.returncode, looked.stdout.count(b"Next step: Install Node 20 or newer."))
    assert says in looked.stdout.decode()
    assert ["tool_missing"] * len(NEEDS_NODE) == [error["code"] for error in errors]
    assert all(says in error["message"] for error in errors)
    assert before == content(settings.workspace)


async def test_npm_that_is_missing_is_named_before_the_project_is_made(tmp_path):
    settings, env = bare(tmp_path, {}), only_programs(tmp_path)
    shutil.copy(find_node().program, tmp_path / "bin/node")  # itself: npm is found beside it

    looked = await ran(settings, "doctor", env=env)
    async with spawned(settings, env=env) as world:
        errors = [await refusal(world, tool) for tool in ("check_files", "push")]

    assert ["tool_missing"] * 2 == [error["code"] for error in errors]
    assert "no `npm` on the PATH" in errors[0]["message"]
    assert (1, True) == (looked.returncode, errors[0]["message"] in looked.stdout.decode())
    assert {} == content(settings.workspace)


@pytest.mark.parametrize("is_file", [True, False])
async def test_a_workspace_that_is_no_directory_is_named_and_nothing_is_made(tmp_path, is_file, capsys):
    place = tmp_path / "app"
    if is_file:
        place.write_text("somebody's")
    settings = load({"workspace": str(place), "data_dir": str(tmp_path / "data")}, {})
    before = content(tmp_path)

    looked = await examine(settings)
    async with served(settings) as world:
        error = await refusal(world, "write_files", changes=[{"path": "convex/a.ts", "content": ""}])

    assert ("directory_unusable", True) == (error["code"], str(place) in error["message"])
    assert (1, True) == (looked, error["message"] in capsys.readouterr().out)
    assert before == content(tmp_path)


@pytest.mark.parametrize("folder", ["app", "app/convex"])
async def test_a_workspace_that_cannot_be_written_stays_as_it_is(tmp_path, folder):
    settings = plain(tmp_path)
    before = content(settings.workspace)
    (tmp_path / folder).chmod(0o555)

    async with spawned(settings, under=HELD_TO_PERMISSIONS) as world:
        changes = [{"path": path, "content": ""} for path in ("notes.ts", "convex/a.ts")]
        error = await refusal(world, "write_files", changes=changes)

    assert ("directory_unusable", True) == (error["code"], str(settings.workspace) in error["message"])
    assert before == content(settings.workspace)


@pytest.mark.parametrize("is_file", [True, False])
async def test_a_data_directory_that_cannot_be_written_is_named_before_the_workspace_changes(tmp_path, is_file):
    settings = plain(tmp_path)
    if is_file:
        settings.data_dir.touch()
    else:
        settings.data_dir.mkdir(mode=0o555)
    before = content(tmp_path)

    looked = await ran(settings, "doctor", under=HELD_TO_PERMISSIONS)
    async with spawned(settings, under=HELD_TO_PERMISSIONS) as world:
        error = await refusal(world, "write_files", changes=[{"path": "convex/a.ts", "content": ""}])

    assert "directory_unusable" == error["code"]
    assert ("Not a directory" if is_file else "Permission denied") in error["message"]
    assert "MCP_CONVEX_DATA_DIR" in error["next_step"]
    assert (1, True) == (looked.returncode, error["message"] in looked.stdout.decode())
    assert before == content(tmp_path)


async def test_ports_that_another_program_has_are_named_with_their_settings(tmp_path, taken_port, capsys):
    settings = plain(tmp_path, embedded_port=str(taken_port), pages_port=str(taken_port))

    looked = await examine(settings)
    async with served(settings) as world:
        errors = [await refusal(world, "push"), await refusal(world, "connect", scope="team")]
        assert (await world.content("check_files"))["ok"]

    assert ["port_in_use"] * 2 == [error["code"] for error in errors]
    assert all(str(taken_port) in error["message"] for error in errors)
    named = zip(("MCP_CONVEX_EMBEDDED_PORT", "MCP_CONVEX_PAGES_PORT"), errors, strict=True)
    assert all(setting in error["next_step"] for setting, error in named)
    assert (1, True) == (looked, errors[0]["next_step"] in capsys.readouterr().out)


async def test_a_workspace_on_a_full_disk_keeps_what_it_has(tmp_path):
    settings = bare(tmp_path, {}, isolation="none")
    first = {"path": "convex/a.ts", "content": "// first\n"}

    async with spawned(settings, under=on_a_small_disk(settings.workspace, 200_000)) as world:
        await world.content("write_files", changes=[first])
        changes = [{"path": first["path"], "content": "// second\n"}, {"path": "convex/b.ts", "content": "x" * 400_000}]
        error = await refusal(world, "write_files", changes=changes)
        files = (await world.content("list_files"))["files"]
        assert first["content"] == (await world.content("read_file", path="convex/a.ts"))["content"]

    assert ("disk_full", True) == (error["code"], str(settings.workspace) in error["message"])
    assert ["convex/a.ts"] == [file["path"] for file in files]


async def test_a_push_is_live_though_what_the_cli_generated_cannot_be_written(tmp_path):
    settings = plain(tmp_path)
    (settings.workspace / "convex/_generated").mkdir(mode=0o555)

    async with spawned(settings, under=HELD_TO_PERMISSIONS) as world:
        await world.write(APP)
        pushed = await world.content("push")
        assert [] == (await world.content("read_table", table="notes"))["documents"]

    assert "pushed" == pushed["outcome"]
    assert any("_generated" in note and "Permission denied" in note for note in pushed["notes"]), pushed["notes"]


async def test_packages_that_the_disk_cut_off_do_not_pass_for_installed(tmp_path):
    """npm exits with 0 when it could not write a package's files."""
    settings = bare(tmp_path, {}, isolation="none")
    tarball = packed(tmp_path, {"package.json": '{"name": "convex", "version": "1.48.0"}', "large.js": "x" * 3_000_000})

    async with spawned(settings, under=on_a_small_disk(settings.workspace, 1_000_000)) as world:
        await world.write({"package.json": json.dumps({"dependencies": {"convex": f"file:{tarball}"}})})
        errors = [await refusal(world, "check_files") for _ in range(2)]

    assert ["disk_full"] * 2 == [error["code"] for error in errors]
    assert "npm" in errors[0]["message"]


# Full from the start; when the store is kept; when the CLI gets its sources; when a deployment is made.
@pytest.mark.parametrize("size", [40_000, 240_000, 312_000, 360_000])
async def test_a_data_directory_on_a_full_disk_is_named_and_nothing_goes_live(tmp_path, size):
    settings = plain(tmp_path, isolation="none")
    settings.data_dir.mkdir()
    for path, text in APP.items():
        (settings.workspace / path).write_text(text)
    before = content(settings.workspace)

    async with spawned(settings, under=on_a_small_disk(settings.data_dir, size)) as world:
        answered = await world.call("push")

    assert answered.is_error
    said = answered.structured_content
    found = [said["error"]["code"]] if "error" in said else [each["code"] for each in said["diagnostics"]]
    assert ["disk_full"] == found, said
    assert str(settings.data_dir) in answered.content[0].text
    assert before == content(settings.workspace)


async def test_a_store_that_is_no_store_is_left_as_it_is(tmp_path, capsys):
    settings = plain(tmp_path)
    async with served(settings) as world:
        await world.content("list_files")
    (settings.data_dir / "store.db").write_bytes(b"somebody's thesis" * 1000)
    before = content(tmp_path)

    looked = await examine(settings)
    async with served(settings) as world:
        errors = [await refusal(world, tool) for tool in ("list_files", "push", "get_connection")]

    assert {"store_corrupt"} == {error["code"] for error in errors}
    assert "Restore it from a backup" in errors[0]["next_step"]
    assert (1, True) == (looked, errors[0]["message"] in capsys.readouterr().out)
    assert before == content(tmp_path)


async def test_a_wrong_encryption_key_is_said_and_loses_nothing(tmp_path, capsys):
    settings = plain(tmp_path)
    key = settings.data_dir / "store.key"
    async with fake_deployment() as deployment:
        await link(settings, deployment)
        (kept := tmp_path / "kept.key").write_bytes(key.read_bytes())
        key.write_bytes(base64.b64encode(bytes(32)))

        looked = await examine(settings)
        rotated = await ran(settings, "keys", "rotate")
        async with served(settings) as world:
            await world.write(APP)
            errors = [await refusal(world, tool) for tool in ("push", "list_tables", "list_env_vars")]
        shutil.copyfile(kept, key)
        async with served(settings) as world:
            assert "pushed" == (await world.content("push"))["outcome"]

        assert 1 == deployment.pushes
    assert ["store_corrupt"] * 3 == [error["code"] for error in errors]
    assert "Put the former key back" in errors[0]["next_step"]
    assert (1, 2) == (looked, rotated.returncode)
    assert all(errors[0]["message"] in said for said in (capsys.readouterr().out, rotated.stderr.decode()))


@pytest.mark.parametrize(
    ("package_json", "says"),
    [
        ('{"dependencies": {"react": "19"}}', "does not ask for the package `convex`"),
        ('{"dependencies": {"convex": "1.39.1"}}', "works with 1.40 and newer"),
        ('{"dependencies": ', "not a valid package.json"),
    ],
)
async def test_a_project_that_cannot_be_pushed_is_told_why_and_left_alone(tmp_path, package_json, says):
    settings = bare(tmp_path, {"package.json": package_json})

    async with served(settings) as world:
        errors = [await refusal(world, tool) for tool in ("check_files", "push")]

    assert ["install_failed"] * 2 == [error["code"] for error in errors]
    assert all(says in error["message"] for error in errors)
    assert {"package.json": package_json.encode()} == content(settings.workspace)


@pytest.mark.parametrize(
    ("words", "env", "says"),
    [
        (["--isolatoin", "none"], {}, "the nearest is `--isolation`"),
        ([], {"MCP_CONVEX_ISOLATON": "none"}, "the nearest is `MCP_CONVEX_ISOLATION`"),
        (["--isolation", "docker"], {}, "'bwrap' or 'strict', not `docker`"),
    ],
)
async def test_an_unknown_setting_flag_or_command_ends_the_server_before_it_serves(tmp_path, words, env, says):
    program = [sys.executable, "-m", "mcp_convex", *words]

    ended = await anyio.run_process(program, check=False, env={**os.environ, "HOME": str(tmp_path), **env}, input=b"")

    assert (2, b"") == (ended.returncode, ended.stdout)
    assert says in ended.stderr.decode()
    assert {} == content(tmp_path)


async def test_what_another_process_holds_is_named_and_it_goes_on(tmp_path):
    settings = plain(tmp_path)
    async with served(settings) as world:
        await world.write(APP)
        assert "pushed" == (await world.content("push"))["outcome"]
        await world.content("run_function", name="notes:add", args={"text": "kept", "rank": 1})

        embedded = await ran(settings, "embedded")
        rotated = await ran(settings, "keys", "rotate")

        assert "kept" == (await world.content("read_table", table="notes"))["documents"][0]["text"]
    assert (2, True) == (embedded.returncode, b"port_in_use: Another process already serves" in embedded.stderr)
    assert (2, True) == (rotated.returncode, b"End every mcp-convex with this data directory" in rotated.stderr)
