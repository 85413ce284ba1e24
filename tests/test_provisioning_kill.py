"""A server that is killed while it makes a project: whoever comes next finds what there is, and makes nothing twice."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from starlette.responses import Response

from mcp_convex.store import open_data_dir
from tests.doubles.cloud import fake_cloud
from tests.doubles.deployment import Fault
from tests.doubles.provisioning import make_when_free, place

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[1]
STEPS = ["list_projects", "create_project", "create_deployment", "create_deploy_key"]


@dataclass(frozen=True)
class Holds(Fault):
    """No answer, and word that the question has come."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, right: Response, closing: asyncio.Event) -> Response:
        self.reached.set()
        await closing.wait()
        return right


@pytest.mark.parametrize("applies", [False, True], ids=["before its effect", "after its effect"])
@pytest.mark.parametrize("kind", ["oauth", "team_token"])
@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_a_call_and_taken_up_again_there_is_one_project_with_one_deployment(
    step, kind, applies, tmp_path
):
    data, root = tmp_path / "data", tmp_path / "app"
    async with fake_cloud() as cloud, open_data_dir(data) as store, place(store, root, cloud.url) as here:
        await here.connect(cloud, cloud.add_team(), kind)
        held = Holds(applies=applies)
        cloud.script(step, held)

        await _killed_once(held.reached, [str(data), str(root), cloud.url, "Pet shop"])
        made = await make_when_free(here, "Pet shop")

        (project,), (deployment,) = cloud.projects.values(), cloud.deployments.values()
        assert ("Pet shop", project) == (project.name, deployment.project)
        assert (deployment.name, deployment.url) == (made.target.name, made.target.url)
        assert made.target.url in here.env_local()
        assert deployment.name == (await here.targets.reach()).target.name


async def test_killed_again_and_again_it_still_comes_to_its_end(tmp_path):
    data, root = tmp_path / "data", tmp_path / "app"
    async with fake_cloud() as cloud, open_data_dir(data) as store, place(store, root, cloud.url) as here:
        await here.connect(cloud, cloud.add_team())
        for step in STEPS:
            held = Holds(applies=True)
            cloud.script(step, held)
            await _killed_once(held.reached, [str(data), str(root), cloud.url, "Pet shop"])

        await make_when_free(here, "Pet shop")

        assert (1, 1) == (len(cloud.projects), len(cloud.deployments))


async def _killed_once(reached: asyncio.Event, arguments: list[str]) -> None:
    """Run provisioning in a process of its own until *reached*, and end that with SIGKILL."""
    command = [sys.executable, "-m", "tests.doubles.provisioning", json.dumps(arguments)]
    process = await anyio.open_process(command, cwd=ROOT, stdin=None, stdout=None, stderr=None)
    async with process:
        with anyio.fail_after(30):
            await reached.wait()
        process.kill()
    assert -9 == process.returncode
