"""What generated code could try against this machine, tried with the real CLI in each mode."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_convex.domain.errors import PathRefused
from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Ended
from mcp_convex.sandboxes import LocalSandbox
from tests.doubles.projects import TEMPLATE
from tests.sandboxes.conftest import no_progress, run

pytestmark = pytest.mark.anyio

Project = Callable[..., Path]
CANARY = "canary-5f1c"
QUERY = 'import { query } from "./_generated/server";\n'
LIST = QUERY + "export const list = query(async () => %s);\n"


async def bundle(sandbox: LocalSandbox) -> Ended:
    """Bundle with the real CLI, which then writes what it would push to `request.json`."""
    await sandbox.ensure(no_progress)
    flags = ["--write-push-request", "request", "--push-all-modules", "--typecheck", "disable"]
    at = ["--url", "http://127.0.0.1:1", "--admin-key", "none"]
    return await run(sandbox, *sandbox.convex_cli(), "deploy", "-y", *flags, *at, keep=("request.json",))


async def refuse_to_bundle(sandbox: LocalSandbox) -> None:
    ended = await bundle(sandbox)
    assert 1 == ended.exit_code
    assert "Could not resolve" in ended.output
    assert CANARY not in ended.output
    assert "request.json" not in [entry.path for entry in await sandbox.list()]


async def test_an_ordinary_project_is_bundled_in_every_mode(project, open_sandbox, mode) -> None:
    sources = {path: (TEMPLATE / path).read_text() for path in ("convex/schema.ts", "convex/users.ts")}
    sandbox = open_sandbox(project(sources), mode)
    ended = await bundle(sandbox)
    assert (0, []) == (ended.exit_code, [line for line in ended.output.splitlines() if "warn" in line.lower()])
    request = json.loads(await sandbox.read(FilePath("request.json")))
    assert "users.js" in [module["path"] for module in request["appDefinition"]["changedModules"]]


@pytest.mark.parametrize(
    "source",
    [
        'import secret from "{outside}/secret.json";\n',
        'import secret from "../../secret.json";\n',
        'import secret from "{outside}/secret.txt";\n',
        'import secret from "{home}/.convex/config.json";\n',
        'import secret from "secret";\n',
    ],
)
async def test_a_file_outside_is_not_bundled(project, open_sandbox, confining, tmp_path, source) -> None:
    for name in ("secret.json", "secret.txt"):
        (tmp_path / "work").mkdir(exist_ok=True)
        (tmp_path / "work" / name).write_text(json.dumps({"key": CANARY}))
    paths = {"secret": [f"{tmp_path}/work/secret.json"]}
    code = source.format(outside=tmp_path / "work", home=Path.home()) + LIST % "secret"
    tsconfig = json.dumps({"compilerOptions": {"baseUrl": ".", "paths": paths}})
    root = project({"convex/leak.ts": code, "convex/tsconfig.json": tsconfig})
    await refuse_to_bundle(open_sandbox(root, confining))


async def test_a_link_to_a_file_outside_is_not_bundled(project, open_sandbox, mode, tmp_path) -> None:
    root = project({"convex/leak.ts": 'import secret from "./link.json";\n' + LIST % "secret"})
    (tmp_path / "secret.json").write_text(json.dumps({"key": CANARY}))
    (root / "convex/link.json").symlink_to(tmp_path / "secret.json")
    await refuse_to_bundle(open_sandbox(root, mode))


async def test_functions_outside_are_neither_read_nor_written(project, open_sandbox, mode, tmp_path) -> None:
    outside = tmp_path / "work/outside"
    outside.mkdir(parents=True)
    (outside / "leak.ts").write_text(LIST % f"'{CANARY}'")
    sandbox = open_sandbox(project({"convex.json": '{"functions": "../outside/"}'}), mode)
    with pytest.raises(PathRefused):
        await bundle(sandbox)
    assert ["leak.ts"] == [path.name for path in outside.iterdir()]


async def test_settings_that_go_online_do_not_reach_the_cli(project, open_sandbox, mode) -> None:
    settings = {"authKit": {"dev": {}}, "functions": "convex/", "node": {"externalPackages": ["sharp"]}, "team": "t"}
    sandbox = open_sandbox(project({"convex.json": json.dumps(settings)}), mode)
    seen = json.loads((await run(sandbox, "cat", "convex.json")).output)
    assert {"functions": "convex/", "node": {"externalPackages": ["sharp"]}, "aiFiles": {"enabled": False}} == seen


async def test_the_code_that_the_cli_runs_cannot_be_changed(project, open_sandbox, confining) -> None:
    root = project()
    compiler = root / "node_modules/typescript/bin/tsc"
    before = compiler.read_bytes()
    script = "echo x > node_modules/typescript/bin/tsc || rm -r node_modules/typescript || echo refused"
    ended = await run(open_sandbox(root, confining), "/bin/sh", "-c", script)
    assert ended.output.endswith("refused\n")
    assert before == compiler.read_bytes()


@pytest.mark.parametrize("name", [".env.local", ".env", ".env.production"])
async def test_an_env_file_in_the_workspace_is_not_there_for_the_cli(project, open_sandbox, mode, name) -> None:
    root = project(
        {"convex/a.ts": LIST % "1", name: "CONVEX_DEPLOY_KEY=dev:x|y\nCONVEX_VERSION_API_ORIGIN=http://127.0.0.1:1"}
    )
    sandbox = open_sandbox(root, mode)
    assert 1 == (await run(sandbox, "cat", name)).exit_code
    ended = await run(sandbox, *sandbox.convex_cli(), "env", "list")
    assert 1 == ended.exit_code
    assert "No CONVEX_DEPLOYMENT set" in ended.output


async def test_no_credential_of_this_server_is_in_a_commands_environment(project, open_sandbox, mode) -> None:
    ended = await run(open_sandbox(project(), mode), "node", "-p", "Object.keys(process.env).join()")
    assert {"CI", "HOME", "LANG", "PATH", "TMPDIR"} == set(ended.output.strip().split(",")) - {"PWD", "OLDPWD"}


async def test_the_cli_leaves_no_env_file_and_no_gitignore_behind(project, open_sandbox, mode) -> None:
    root = project()
    script = "echo CONVEX_URL=http://127.0.0.1:1 > .env.local; echo .env.local > .gitignore"
    sandbox = open_sandbox(root, mode)
    await run(sandbox, "/bin/sh", "-c", script, keep=("convex/_generated",))
    assert [] == [path.name for path in root.iterdir() if path.name.startswith(".")]
    assert 1 == (await run(sandbox, "cat", ".env.local")).exit_code
