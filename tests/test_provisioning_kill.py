"""A server that is killed while it makes a project: whoever comes next finds what there is, and makes nothing twice."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import anyio
import pytest

from mcp_convex.domain.models import WorkspaceId
from mcp_convex.store import open_data_dir
from tests.doubles.cloud import fake_cloud
from tests.doubles.deployment import Holds
from tests.doubles.provisioning import make_when_free, place

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[1]
STRIDES = {"oauth": 61, "team_token": 71}
"""Which of the steps, as `provisioning_kills` counts them, are the last of a process: every 61st, or every 71st."""
KILLS = 20
"""So many there are of each, at least."""
STEPS = ["list_projects", "create_project", "create_deployment", "create_deploy_key"]


@pytest.mark.parametrize("kind", STRIDES)
async def test_killed_anywhere_and_taken_up_again_there_is_one_project_with_one_deployment(kind, tmp_path):
    """Among what the kills hit are the moments between a call and its record, and between two records."""
    stopped_at = set[str | None]()
    async with fake_cloud() as cloud, open_data_dir(tmp_path / "data") as store:
        team = cloud.add_team()
        team.project_quota = team.deployment_quota = 1000
        async with place(store, tmp_path / "app", cloud.url) as here:
            await here.connect(cloud, team, kind)
        killed = await _killed_at_steps(str(tmp_path), cloud.url, STRIDES[kind])
        for name in killed:
            async with place(store, tmp_path / name, cloud.url, workspace=WorkspaceId(name)) as here:
                run = await store.provisioning.open_run(here.principal, WorkspaceId(name), name)
                stopped_at.add(run and run.step)
                made = await make_when_free(here, name)
                assert made.target.url in here.env_local()
                assert made.target.name == (await here.targets.reach()).target.name

        assert sorted(killed) == sorted(project.name for project in cloud.projects.values() if project.name in killed)
        assert (
            len(cloud.projects) == len(cloud.deployments) == len({one.project.id for one in cloud.deployments.values()})
        )
    assert KILLS <= len(killed)
    assert {"selecting_team", "creating_project", "creating_deployment", "initialising_env"} <= stopped_at


async def _killed_at_steps(folder: str, host: str, stride: int) -> list[str]:
    """Have the making of projects killed, each somewhat later than the one before, and return their names."""
    command = [sys.executable, "-m", "tests.doubles.provisioning_kills", folder, host, str(stride)]
    with anyio.fail_after(600):
        return (await anyio.run_process(command, cwd=ROOT, stderr=None)).stdout.decode().split()


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
        with anyio.fail_after(120):
            await reached.wait()
        process.kill()
    assert -9 == process.returncode
