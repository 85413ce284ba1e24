"""The template's packages serve without a network; others are installed in the sandbox, and again in the next one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from mcp_convex.domain.errors import InstallFailed
from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports import Command, Sandbox
from tests.doubles.e2b.opening import open_sandbox
from tests.sandboxes.conftest import ignore

pytestmark = pytest.mark.anyio

PACKAGE_JSON = FilePath("package.json")
LOCK = FilePath("package-lock.json")


@pytest.fixture
def stages() -> list[str]:
    return []


@pytest.fixture
async def sandbox(request, cloud, store) -> AsyncIterator[Sandbox]:
    sandbox = open_sandbox(cloud, store, request.node.name)
    yield sandbox
    await sandbox.close()
    for box in cloud.alive:
        await box.end()


def vendored(*names: str) -> dict[FilePath, bytes]:
    """Return a project that asks for packages in a folder of its own, whose install scripts would leave a file."""
    asked = {"dependencies": {name: f"file:vendor/{name}" for name in names}}
    manifests = {name: {"name": name, "version": "1.48.0", "scripts": {"install": "touch ran"}} for name in names}
    files = {
        FilePath(f"vendor/{name}/package.json"): json.dumps(manifest).encode() for name, manifest in manifests.items()
    }
    return {PACKAGE_JSON: json.dumps(asked).encode(), **files}


async def test_a_project_that_asks_for_what_the_template_has_needs_no_network(sandbox, stages) -> None:
    asked = {"dependencies": {"convex": "^1.40.0"}, "devDependencies": {"typescript": "~7.0.1"}}
    await sandbox.write({PACKAGE_JSON: json.dumps(asked).encode()})
    await sandbox.ensure(record(stages))
    assert [] == stages
    assert sandbox.checks_types()


async def test_other_packages_are_installed_once_without_their_scripts_and_again_in_the_next_sandbox(
    sandbox, cloud, stages
) -> None:
    await sandbox.write(vendored("convex", "more"))
    await sandbox.ensure(record(stages))
    await sandbox.ensure(record(stages))
    assert ["installing"] == stages
    assert () == sandbox.take_notes()
    found = await sandbox.exec(Command(["ls", "node_modules/", "vendor/more"], 30), on_output=ignore)
    assert ["convex", "more", "package.json"] == [line for line in found.output.split() if not line.endswith(":")]
    lock = await sandbox.read(LOCK)
    assert "more" in json.loads(lock)["packages"][""]["dependencies"]

    await cloud.alive[0].end()
    await sandbox.list()
    await sandbox.ensure(record(stages))
    assert ["installing", "installing"] == stages
    assert lock == await sandbox.read(LOCK)


@pytest.mark.parametrize(("asked", "locked"), [("^1.49.0", None), ("^1.40.0", "1.45.0")])
async def test_a_package_that_only_the_network_has_is_told_as_that(sandbox, stages, asked, locked) -> None:
    lock = {"lockfileVersion": 3, "packages": {"node_modules/convex": {"version": locked}}}
    files = {PACKAGE_JSON: {"dependencies": {"convex": asked}}} | ({LOCK: lock} if locked else {})
    await sandbox.write({path: json.dumps(content).encode() for path, content in files.items()})
    with pytest.raises(InstallFailed, match="the sandbox has no network") as caught:
        await sandbox.ensure(record(stages))
    assert "`convex` 1.48.0" in caught.value.next_step
    assert "MCP_CONVEX_E2B_INTERNET" in caught.value.next_step


async def test_a_convex_that_is_too_old_is_told_as_that(sandbox, stages) -> None:
    files = vendored("convex")
    manifest = FilePath("vendor/convex/package.json")
    await sandbox.write({**files, manifest: files[manifest].replace(b"1.48.0", b"1.30.0")})
    with pytest.raises(InstallFailed, match=r"uses convex 1\.30\.0"):
        await sandbox.ensure(record(stages))


def record(stages: list[str]):
    async def note(stage: str) -> None:
        stages.append(stage)

    return note
