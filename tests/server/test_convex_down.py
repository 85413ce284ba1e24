"""Convex is down under a hosted server: each call that needs it says so, and nothing is lost or done twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import anyio
import pytest

from mcp_convex.broker import Tuning
from mcp_convex.domain.connections import Team, TeamId
from mcp_convex.domain.models import PrincipalId
from mcp_convex.server.adapters import open_the_store
from tests.doubles.cloud import ENDPOINTS, FakeCloud, fake_cloud
from tests.doubles.deployment import HangsUp, Says, fake_deployment
from tests.doubles.hosting import Hosted, consenting, hosted, tokens_file
from tests.store.records import connection, token
from tests.world import APP, World

pytestmark = pytest.mark.anyio

HASTY = Tuning(patience_s=0.3, first_pause_s=0.05, longest_pause_s=0.1, silence_s=1, optional_s=1, proof_s=1)
BUSY = Says(503, headers={"Retry-After": "60"})
"""What the cloud says that is down; it asks for no second try."""
STEPS = ("deployment_info", "list_environment_variables", "update_environment_variables", "query", "function")
STEPS += ("get_canonical_urls", "get_config_hashes", "stream_function_logs", "run_test_function", "shapes2")
SAID: Sequence[tuple[str, dict[str, Any], str]] = (
    ("list_functions", {}, "convex_unreachable"),
    ("list_env_vars", {}, "convex_unreachable"),
    ("set_env_vars", {"values": {"SITE": "here"}}, "convex_unreachable"),
    ("read_logs", {}, "convex_unreachable"),
    ("read_table", {"table": "notes"}, "convex_unreachable"),
    ("run_query", {"source": "1"}, "convex_unreachable"),
    ("list_projects", {}, "rate_limited"),
    ("link_project", {"project": "pets"}, "rate_limited"),
    ("create_project", {"name": "Pet shop"}, "rate_limited"),
)
"""What calls are told while the deployment hangs up, and the cloud is too busy."""
GO_ON: Mapping[str, dict[str, Any]] = {
    "list_files": {},
    "check_files": {"types": False},
    "get_connection": {},
    "dev_server": {"action": "status"},
}
"""Calls that need nobody."""


@pytest.fixture
async def house(tmp_path, anyio_backend):
    """A server with two people, each with a team at Convex; alice is to push to a deployment."""
    file, tokens = tokens_file(tmp_path, "alice", "bob")
    async with fake_cloud() as cloud, fake_deployment() as deployment:
        settings = consenting(tmp_path, cloud, tokens_file=str(file), vouching_clients="alice", armed_pushes=False)
        async with hosted(settings, tokens, HASTY) as host:
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


async def refusal(world: World, tool: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any], str]:
    """Return the call with the code of its error, which has to say who does not answer, and what to do."""
    error = (await world.call(tool, **arguments)).structured_content["error"]
    assert error["next_step"], (tool, error)
    assert any(who in error["message"] for who in ("Convex", "deployment")), (tool, error)
    return tool, arguments, error["code"]


async def test_calls_say_that_convex_is_down_and_others_go_on_and_nothing_is_lost_or_done_twice(house):
    host, cloud, deployment = house
    for down, steps, fault in ((cloud, ENDPOINTS, BUSY), (deployment, STEPS, HangsUp())):
        for step in steps:
            down.always(step, fault)
    said: list[tuple[str, dict[str, Any], str]] = []

    async def call_in_vain(world: World, tool: str, arguments: dict[str, Any]) -> None:
        said.append(await refusal(world, tool, arguments))

    async with (
        host.client(host.tokens["alice"]) as alice,
        host.client(host.tokens["bob"]) as bob,
        host.http(None) as http,
    ):
        await alice.write(APP)
        with anyio.fail_after(240):
            async with anyio.create_task_group() as tasks:
                for tool, arguments, _ in SAID:
                    tasks.start_soon(call_in_vain, alice, tool, arguments)
                for world in (alice, bob):
                    for tool, arguments in GO_ON.items():
                        tasks.start_soon(partial(world.content, tool, **arguments))
                pushed = (await alice.call("push")).structured_content
        assert ("failed", "transient", True) == (pushed["outcome"], pushed["failure"], bool(pushed["next_step"]))
        assert 200 == (await http.get(f"{host.origin}/readyz")).status_code
        assert sorted(map(str, SAID)) == sorted(map(str, said))

        cloud.mend()
        deployment.mend()
        assert "pushed" == (await alice.content("push"))["outcome"]
        assert (1, {}, []) == (deployment.pushes, deployment.env_vars, list(cloud.projects))


async def test_a_project_whose_making_convex_broke_off_is_finished_by_its_own_principal_and_is_one(house):
    host, cloud, _ = house
    cloud.always("create_deployment", BUSY)
    async with host.client(host.tokens["alice"]) as alice, host.client(host.tokens["bob"]) as bob:
        assert "rate_limited" == (await refusal(alice, "create_project", {"name": "Pet shop"}))[2]
        cloud.mend()
        made = [(await world.content("create_project", name="Pet shop"))["target"]["url"] for world in (bob, alice)]
        again = [(await world.content("create_project", name="Pet shop"))["target"]["url"] for world in (bob, alice)]

    assert (made, 2) == (again, len(set(made)))
    assert ["alice", "bob"] == [project.team.slug for project in cloud.projects.values()]
    assert 2 == len(cloud.deployments)
