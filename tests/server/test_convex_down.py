"""Convex is down under a hosted server: each call that needs it says so, and nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import anyio
import pytest

from mcp_convex.domain.connections import Team, TeamId
from mcp_convex.domain.models import PrincipalId
from mcp_convex.server.adapters import open_the_store
from tests.doubles.cloud import ENDPOINTS, FakeCloud, fake_cloud
from tests.doubles.deployment import Answers, BreaksOff, Leaves, Says, fake_deployment
from tests.doubles.hosting import Hosted, consenting, hosted, tokens_file
from tests.store.records import connection, token
from tests.world import APP, World

pytestmark = pytest.mark.anyio

BUSY = Says(503, headers={"Retry-After": "60"})
"""What asks for no second try; whatever else may happen, `services.test_fault_matrix` has, and takes its time."""
STEPS = ("deployment_info", "list_environment_variables", "update_environment_variables", "query", "function")
STEPS += ("stream_function_logs", "run_test_function", "shapes2")
NEED_CONVEX: Mapping[str, dict[str, Any]] = {
    "list_functions": {},
    "list_env_vars": {},
    "set_env_vars": {"values": {"SITE": "here"}},
    "read_logs": {},
    "read_table": {"table": "notes"},
    "run_query": {"source": "1"},
    "list_projects": {},
    "link_project": {"project": "pets"},
    "create_project": {"name": "Pet shop"},
}
GO_ON: Mapping[str, dict[str, Any]] = {
    "list_files": {},
    "check_files": {"types": False},
    "get_connection": {},
    "dev_server": {"action": "status"},
}
"""Calls that need nobody."""
RUN = {"name": "notes:add", "args": {}}
ADD = {"identifier": "notes.js:add", "functionType": "Mutation", "visibility": {"kind": "public"}}
LIVE = {"status": "success", "value": [ADD], "logLines": []}


@pytest.fixture
async def house(tmp_path, anyio_backend):
    """A server with two people, each with a team at Convex; alice is to push to a deployment."""
    file, tokens = tokens_file(tmp_path, "alice", "bob")
    async with fake_cloud() as cloud, fake_deployment() as deployment:
        settings = consenting(tmp_path, cloud, tokens_file=str(file), vouching_clients="alice", armed_pushes=False)
        async with hosted(settings, tokens) as host:
            for name in tokens:
                await connect(host, cloud, name)
                host.furnish(f"tokens-file {name}")
            await host.link("tokens-file alice", deployment.reach)
            yield host, cloud, deployment


async def connect(host: Hosted, cloud: FakeCloud, name: str) -> None:
    """Hold a grant for a team of their own, as connecting leaves it."""
    team = cloud.add_team(name, name)
    granted = connection().model_copy(update={"team": Team(id=TeamId(team.id), slug=team.slug, name=team.name)})
    async with open_the_store(host.settings) as store:
        principal = PrincipalId(f"tokens-file {name}")
        await store.connections.put_token(principal, granted, token(cloud.grant("oauth", team).token))


async def call_in_vain(world: World, tool: str, arguments: dict[str, Any], code: str = "rate_limited") -> str:
    """Call what is refused with *code* and what to do, and return what is said."""
    error = (await world.call(tool, **arguments)).structured_content["error"]
    assert (code, True) == (error["code"], bool(error["next_step"])), (tool, error)
    assert any(who in error["message"] for who in ("Convex", "deployment", "The call was sent")), (tool, error)
    return error["message"]


async def test_calls_say_that_convex_is_down_and_others_go_on_and_nothing_is_lost_or_done_twice(house):
    host, cloud, deployment = house
    for step in ENDPOINTS:
        cloud.always(step, BUSY)
    for step in STEPS:
        deployment.always(step, BUSY)
    async with host.client(host.tokens["alice"]) as alice, host.client(host.tokens["bob"]) as bob:
        await alice.write(APP)
        with anyio.fail_after(240):
            async with anyio.create_task_group() as tasks:
                for tool, arguments in NEED_CONVEX.items():
                    tasks.start_soon(call_in_vain, alice, tool, arguments)
                for world in (alice, bob):
                    for tool, arguments in GO_ON.items():
                        tasks.start_soon(partial(world.content, tool, **arguments))
                pushed = (await alice.call("push")).structured_content
        assert ("failed", "transient", True) == (pushed["outcome"], pushed["failure"], bool(pushed["next_step"]))

        cloud.mend()
        deployment.mend()
        assert "pushed" == (await alice.content("push"))["outcome"]
        assert (1, {}, []) == (deployment.pushes, deployment.env_vars, list(cloud.projects))


async def test_a_project_whose_making_convex_broke_off_is_finished_by_its_own_principal_and_is_one(house):
    host, cloud, _ = house
    cloud.always("create_deployment", BUSY)
    async with host.client(host.tokens["alice"]) as alice, host.client(host.tokens["bob"]) as bob:
        await call_in_vain(alice, "create_project", {"name": "Pet shop"})
        cloud.mend()
        made = [(await world.content("create_project", name="Pet shop"))["target"]["url"] for world in (bob, alice)]
        again = [(await world.content("create_project", name="Pet shop"))["target"]["url"] for world in (bob, alice)]

    assert (made, 2) == (again, len(set(made)))
    assert ["alice", "bob"] == [project.team.slug for project in cloud.projects.values()]
    assert 2 == len(cloud.deployments)


async def test_who_loses_convex_in_the_midst_of_a_call_is_told_so_while_another_is_served(house):
    host, cloud, deployment = house
    released = anyio.Event()
    deployment.always("query", Answers(LIVE))
    deployment.always("function", BreaksOff(released))
    async with (
        fake_deployment() as leaving,
        host.client(host.tokens["alice"]) as alice,
        host.client(host.tokens["alice"], query="?workspace=other") as elsewhere,
        host.client(host.tokens["bob"]) as bob,
    ):
        await host.link("tokens-file alice", leaving.reach, "other")
        leaving.always("query", Leaves(LIVE))
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call_in_vain, alice, "run_function", RUN, "outcome_unknown")
                await deployment.until_asked("function")
                assert "ConnectError" in await call_in_vain(elsewhere, "run_function", RUN, "convex_unreachable")
                for tool, arguments in GO_ON.items():
                    await bob.content(tool, **arguments)
                await bob.write(APP)
                released.set()
        assert (1, 0) == (len(deployment.asked("function")), len(leaving.asked("function")))

        # What may be asked twice is, and nobody notices.
        deployment.script("list_environment_variables", BreaksOff())
        cloud.script("list_projects", BreaksOff())
        await alice.content("list_env_vars")
        await alice.content("list_projects")
        assert (2, 2) == (len(deployment.asked("list_environment_variables")), len(cloud.asked("list_projects")))
