"""Servers as processes on one PostgreSQL database: one is killed in the midst of its work, and another goes on."""

from __future__ import annotations

from functools import partial

import anyio
import httpx2
import pytest

from mcp_convex.domain.connections import Team, TeamId
from mcp_convex.domain.models import PrincipalId
from mcp_convex.server.adapters import open_the_store
from tests.doubles.cloud import FakeCloud, fake_cloud
from tests.doubles.cloud_records import FakeTeam
from tests.doubles.deployment import Holds, KeepsSilent, fake_deployment
from tests.doubles.hosting import DISCOVER, HEADERS, Hosted, tokens_file
from tests.doubles.replicas import shared_environment
from tests.store.records import connection, token
from tests.system.servers import Servers
from tests.system.spawning import LEASE_S
from tests.world import APP

pytestmark = pytest.mark.anyio

ALICE = "tokens-file alice"


@pytest.fixture
def servers(tmp_path, postgres, database_with_tables):
    environ = shared_environment(postgres.url(postgres.new_database(like=database_with_tables)))
    return Servers(tmp_path, environ, *tokens_file(tmp_path, "alice"))


async def connect(host: Hosted, cloud: FakeCloud, team: FakeTeam) -> None:
    """Hold a grant for *team*, as connecting leaves it."""
    granted = connection().model_copy(update={"team": Team(id=TeamId(team.id), slug=team.slug, name=team.name)})
    async with open_the_store(host.settings) as store:
        await store.connections.put_token(PrincipalId(ALICE), granted, token(cloud.grant("oauth", team).token))


async def call_in_vain(host: Hosted, tool: str, **arguments: object) -> None:
    """Call a server that does not live to answer."""
    params = {**DISCOVER["params"], "name": tool, "arguments": arguments}
    headers = {**HEADERS, "Mcp-Method": "tools/call", "Mcp-Name": tool}
    async with host.http(host.tokens["alice"], **headers) as http:
        with pytest.raises(httpx2.TransportError):
            await http.post(host.url, json={**DISCOVER, "method": "tools/call", "params": params})


async def call_when_free(world, tool: str, **arguments: object):
    """Call, again for as long as a dead server's lease is in the way."""
    with anyio.fail_after(LEASE_S + 60):
        while True:
            answer = (await world.call(tool, **arguments)).structured_content
            if answer.get("error", {}).get("code") != "push_under_way":
                return answer
            await anyio.sleep(0.1)


async def test_a_push_whose_server_is_killed_is_taken_over_and_the_record_says_what_is_so(servers):
    async with fake_deployment() as deployment, servers.one("one") as (one, doomed), servers.one("other") as (other, _):
        await one.link(ALICE, deployment.reach)
        one.furnish(ALICE)
        async with one.client(one.tokens["alice"]) as world:
            await world.write(APP)
        deployment.script("finish_push", KeepsSilent())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call_in_vain, one, "push")
            with anyio.fail_after(60):
                await deployment.until_asked("finish_push")
            async with other.client(other.tokens["alice"]) as world:
                assert "push_under_way" == await world.code("push")
            doomed.kill()

        async with other.client(other.tokens["alice"]) as world:
            pushed = await call_when_free(world, "push")
            assert "pushed" == pushed["outcome"]
            (content,) = (await world.client.read_resource("convex://pushes")).contents
            assert 1 == content.text.count('"outcome"')
            assert pushed["id"] in content.text
        assert 1 == deployment.pushes


async def test_a_project_whose_maker_is_killed_is_finished_by_another_server_and_is_one(servers):
    async with fake_cloud() as cloud:
        servers.environ |= {"PROVISION_HOST": cloud.url, "DASHBOARD_HOST": cloud.url}
        team = cloud.add_team()
        async with servers.one("one") as (one, doomed), servers.one("other") as (other, _):
            one.furnish(ALICE)
            await connect(one, cloud, team)
            held = Holds(applies=True)
            cloud.script("create_deployment", held)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(call_in_vain, one, "create_project", name="Pet shop"))
                with anyio.fail_after(60):
                    await held.reached.wait()
                async with other.client(other.tokens["alice"]) as world:
                    assert "push_under_way" == await world.code("create_project", name="Pet shop")
                doomed.kill()

            async with other.client(other.tokens["alice"]) as world:
                made = await call_when_free(world, "create_project", name="Pet shop")
                assert made["target"]["name"] == next(iter(cloud.deployments.values())).name
        assert (1, 1) == (len(cloud.projects), len(cloud.deployments))
