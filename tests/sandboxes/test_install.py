"""An empty directory becomes a project; an existing one keeps its own files and packages."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path, PurePosixPath

import pytest

from mcp_convex.domain.errors import InstallFailed
from mcp_convex.domain.models import FilePath
from mcp_convex.sandboxes import npm_environment
from tests.doubles.npm import PACKAGE_FILES
from tests.doubles.projects import TEMPLATE, installed_packages
from tests.sandboxes.conftest import no_progress, run

pytestmark = pytest.mark.anyio

NOWHERE = {"npm_config_registry": "http://127.0.0.1:1/", "npm_config_fetch_retries": "0"}


@pytest.fixture
def root(tmp_path) -> Path:
    (tmp_path / "work/app").mkdir(parents=True)
    return tmp_path / "work/app"


@pytest.fixture
def template(root, tmp_path) -> Path:
    """The template, asking for a package in the workspace's own `vendor` folder instead of those of a registry."""
    folder = shutil.copytree(TEMPLATE, tmp_path / "template", ignore=shutil.ignore_patterns("node_modules"))
    vendor(root, "convex")
    (folder / "package.json").write_text('{"dependencies": {"convex": "file:vendor/convex"}}')
    (folder / "package-lock.json").write_text('{"lockfileVersion": 3, "packages": {"": {}}}')
    return folder


def vendor(root: Path, name: str) -> None:
    """Put a package into the workspace's `vendor` folder; its install script would leave a file."""
    (root / "vendor" / name).mkdir(parents=True)
    package = {"name": name, "version": "1.48.0", "scripts": {"install": "touch ran"}}
    (root / "vendor" / name / "package.json").write_text(json.dumps(package))


def files(root: Path) -> set[str]:
    found = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    return {path.as_posix() for path in found if path.parts[0] not in {"node_modules", "vendor"}}


def install_by_hand(root: Path, convex: str = "1.48.0") -> None:
    (root / "node_modules/convex").mkdir(parents=True)
    (root / "node_modules/convex/package.json").write_text(json.dumps({"name": "convex", "version": convex}))


@pytest.mark.parametrize("mode", ["none", "landlock", "bwrap"])
async def test_an_empty_directory_gets_the_project_files_and_packages_and_no_examples(
    root, open_sandbox, template, mode
) -> None:
    stages: list[str] = []

    async def note(stage: str) -> None:
        stages.append(stage)

    sandbox = open_sandbox(root, mode, template=template, npm_env=NOWHERE)
    await sandbox.ensure(note)
    assert {"package.json", "package-lock.json", "convex.json", "convex/tsconfig.json", ".gitignore"} == files(root)
    assert (root / "node_modules/convex/package.json").exists()
    assert not (root / "vendor/convex/ran").exists()
    await sandbox.ensure(note)
    assert ["installing"] == stages


async def test_the_template_installs_as_it_is_locked(root, open_sandbox) -> None:
    await open_sandbox(root, "bwrap", npm_env=npm_environment(os.environ)).ensure(no_progress)
    installed = json.loads((root / "node_modules/convex/package.json").read_text())["version"]
    assert "1.48.0" == installed
    assert (TEMPLATE / "package-lock.json").read_bytes() == (root / "package-lock.json").read_bytes()
    assert b"resolved" not in (root / "package-lock.json").read_bytes()


async def test_a_package_that_is_added_is_installed_by_the_next_command(root, open_sandbox, template) -> None:
    sandbox = open_sandbox(root, "bwrap", template=template, npm_env=NOWHERE)
    await sandbox.ensure(no_progress)
    vendor(root, "more")
    asked = {"dependencies": {"convex": "file:vendor/convex", "more": "file:vendor/more"}}
    await sandbox.write({FilePath("package.json"): json.dumps(asked).encode()})
    await sandbox.ensure(no_progress)
    assert (root / "node_modules/more/package.json").exists()
    assert "more" in json.loads((root / "package-lock.json").read_text())["packages"][""]["dependencies"]


async def test_examples_are_written_when_asked_and_never_over_a_file(root, open_sandbox, template) -> None:
    (root / "convex").mkdir()
    (root / "convex/schema.ts").write_text("mine")
    (root / ".gitignore").write_text("mine")
    written = await open_sandbox(root, template=template).init()
    assert "convex/messages.ts" in written
    assert "convex/schema.ts" not in written
    assert "mine" == (root / "convex/schema.ts").read_text()
    assert "mine\nnode_modules/\n.env*.local\n" == (root / ".gitignore").read_text()


async def test_an_existing_project_keeps_its_files_and_only_gets_what_a_type_check_needs(root, open_sandbox) -> None:
    (root / "package.json").write_text('{"dependencies": {"convex": "^1.40.0"}}')
    install_by_hand(root, "1.40.3")
    await open_sandbox(root, npm_env=NOWHERE).ensure(no_progress)
    assert {"package.json", "convex/tsconfig.json"} == files(root)
    assert '"types": []' in (root / "convex/tsconfig.json").read_text()
    assert '{"dependencies": {"convex": "^1.40.0"}}' == (root / "package.json").read_text()


async def test_a_project_whose_own_tsconfig_resolves_imports_gets_none_that_would_hide_it(root, open_sandbox) -> None:
    (root / "package.json").write_text('{"dependencies": {"convex": "^1.40.0"}}')
    (root / "tsconfig.json").write_text('{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}')
    install_by_hand(root, "1.40.3")
    await open_sandbox(root, npm_env=NOWHERE).ensure(no_progress)
    assert {"package.json", "tsconfig.json"} == files(root)


async def test_packages_that_the_person_installed_are_used_as_they_are(root, open_sandbox) -> None:
    packages = installed_packages()
    for name in PACKAGE_FILES:
        shutil.copy(packages / name, root / name)
    (root / "node_modules").symlink_to(packages / "node_modules")
    await open_sandbox(root, npm_env=NOWHERE).ensure(no_progress)
    assert (root / "node_modules").is_symlink()


@pytest.mark.parametrize(
    ("package_json", "installed", "says"),
    [
        ('{"dependencies": {"react": "19"}}', None, "does not ask for the package `convex`"),
        ('{"dependencies": {"convex": "^1.30.0"}}', "1.39.1", "uses convex 1.39.1"),
        ("{", None, "not a valid package.json"),
    ],
)
async def test_a_project_that_cannot_be_worked_with_is_told_why(
    root, open_sandbox, package_json, installed, says
) -> None:
    (root / "package.json").write_text(package_json)
    if installed:
        install_by_hand(root, installed)
    with pytest.raises(InstallFailed, match=says) as caught:
        await open_sandbox(root, npm_env=NOWHERE).ensure(no_progress)
    assert caught.value.next_step


@pytest.mark.parametrize(("lock", "manager"), [("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lock", "bun")])
async def test_packages_of_another_manager_are_left_to_it(root, open_sandbox, lock, manager) -> None:
    (root / "package.json").write_text('{"dependencies": {"convex": "^1.48.0"}}')
    (root / lock).touch()
    sandbox = open_sandbox(root, npm_env=NOWHERE)
    with pytest.raises(InstallFailed) as caught:
        await sandbox.ensure(no_progress)
    assert f"`{manager} install` in `{root}`" in caught.value.next_step
    install_by_hand(root)
    await sandbox.ensure(no_progress)


@pytest.mark.parametrize("mode", ["none", "landlock", "bwrap"])
async def test_in_a_monorepo_the_packages_around_the_workspace_are_seen(tmp_path, open_sandbox, mode) -> None:
    top = tmp_path / "mono"
    backend, shared = top / "packages/backend", top / "packages/shared"
    for folder in (backend, shared, top / "node_modules/@acme"):
        folder.mkdir(parents=True)
    (top / "package.json").write_text('{"workspaces": ["packages/*"]}')
    (backend / "package.json").write_text('{"dependencies": {"convex": "*", "@acme/shared": "*"}}')
    (shared / "package.json").write_text('{"name": "@acme/shared"}')
    (shared / "index.js").write_text("module.exports = 'shared'")
    sandbox = open_sandbox(backend, mode, npm_env=NOWHERE)
    with pytest.raises(InstallFailed) as caught:
        await sandbox.ensure(no_progress)
    assert f"`npm install` in `{top}`" in caught.value.next_step
    install_by_hand(top)
    (top / "node_modules/@acme/shared").symlink_to("../../packages/shared")
    await sandbox.ensure(no_progress)
    ended = await run(sandbox, "node", "-p", "require('@acme/shared')")
    assert "shared\n" == ended.output
    assert (PurePosixPath(shared),) == sandbox.linked_at()
    # esbuild looks for packages in each folder above a file, and gives up at a package.json that it must not read.
    looks = f"fs.readFileSync('{top}/package.json', 'utf8'), ['..', '{top}'].every((at) => fs.readdirSync(at).length)"
    assert "true\n" == (await run(sandbox, "node", "-p", looks)).output


async def test_without_a_network_the_person_is_told(root, open_sandbox) -> None:
    (root / "package.json").write_text('{"dependencies": {"convex": "^1.48.0", "no-such-package-4711": "1"}}')
    with pytest.raises(InstallFailed, match="could not reach its registry"):
        await open_sandbox(root, "bwrap", npm_env=NOWHERE).ensure(no_progress)


async def test_what_npm_says_is_passed_on_in_short(root, open_sandbox) -> None:
    (root / "package.json").write_text('{"dependencies": {"convex": "file:../nowhere", "b": "not a version"}}')
    with pytest.raises(InstallFailed, match=r"npm could not install the packages: .+") as caught:
        await open_sandbox(root, "bwrap", npm_env=NOWHERE).ensure(no_progress)
    assert 700 > len(caught.value.message)
    assert "npm error" not in caught.value.message


def test_npm_gets_the_persons_way_to_the_registry_and_no_other_variable() -> None:
    environ = {"NPM_CONFIG_REGISTRY": "r", "https_proxy": "p", "NODE_EXTRA_CA_CERTS": "c", "CONVEX_DEPLOY_KEY": "k"}
    assert {"NPM_CONFIG_REGISTRY", "https_proxy", "NODE_EXTRA_CA_CERTS"} == set(npm_environment(environ))
