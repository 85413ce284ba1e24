"""Several servers on one database: whichever of them a request meets, it is answered alike."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult

from mcp_convex.boundary.hosting import SERVING, Serving
from mcp_convex.boundary.opening import LazyServices
from mcp_convex.boundary.replicas import RelayedBus
from mcp_convex.boundary.subscriptions import Announcing, OwnEvents
from mcp_convex.domain.ports.announcing import DEV_SERVER, PUSHES
from mcp_convex.embedded import LocalEmbeddedDeployments
from mcp_convex.sandboxes import ConfinedLauncher
from mcp_convex.store import KeyRing, open_store
from tests.doubles.cloud import approve, fake_cloud
from tests.doubles.deployment import Fault, fake_deployment
from tests.doubles.e2b.cloud import API_KEY
from tests.doubles.e2b.opening import loopback_e2b
from tests.doubles.issuer import AUDIENCE, SIGN_IN, fake_issuer
from tests.doubles.office import Browser
from tests.doubles.replicas import replicas, shared_environment
from tests.store.records import new_key
from tests.world import APP, NOTES, World

pytestmark = pytest.mark.anyio


@pytest.fixture
def database(postgres, database_with_tables):
    return postgres.url(postgres.new_database(like=database_with_tables))


@pytest.fixture
async def issuer(anyio_backend):
    async with fake_issuer() as running:
        yield running


def trusting(issuer) -> dict[str, str]:
    return {"issuer": issuer.url, "audience": AUDIENCE}


def local(folder) -> dict[str, str]:
    """Return how servers of one machine share the directories of workspaces."""
    return {"workspaces_dir": str(folder / "workspaces")}


async def test_a_client_that_meets_another_server_each_time_does_the_main_job_and_is_asked(tmp_path, database, issuer):
    asked: list[str] = []

    async def agree(context, params):
        asked.append(params.message)
        return ElicitResult(action="accept", content={"proceed": True})

    async with (
        replicas(tmp_path, shared_environment(database), **local(tmp_path), **trusting(issuer)) as pair,
        LocalEmbeddedDeployments(tmp_path / "elsewhere", ConfinedLauncher()) as deployments,
        pair.balanced.http(issuer.token()) as http,
        Client(streamable_http_client(pair.balanced.url, http_client=http), elicitation_callback=agree) as client,
    ):
        await pair.link(f"{issuer.url} alice", await deployments.ensure("elsewhere"))
        pair.balanced.furnish(f"{issuer.url} alice")
        world = World(client=client, settings=pair.balanced.settings, era="auto")
        await world.hold({"convex/gone.ts": NOTES})
        assert "pushed" == (await world.content("push"))["outcome"]
        for rank in range(3):
            await world.content("run_function", name="notes:add", args={"text": "a note", "rank": rank})

        page = await world.content("read_table", table="notes", limit=1)
        ranks = [page["documents"][0]["rank"]]
        while page["cursor"]:
            page = await world.content("read_table", table="notes", limit=1, cursor=page["cursor"])
            ranks += [document["rank"] for document in page["documents"]]
        assert [2, 1, 0] == ranks

        await world.hold({})
        assert "needs_consent" == (await world.call("push")).structured_content["failure"]
        assert "pushed" == (await world.content("push"))["outcome"]
        assert "gone:add" in asked[0]
        assert [] == (await world.content("list_functions", search="gone"))["functions"]


async def test_a_person_connects_through_pages_of_whichever_server(tmp_path, database, issuer):
    async with fake_cloud() as cloud:
        cloud.add_project(cloud.add_team(), "shop")
        environ = {
            "PROVISION_HOST": cloud.url,
            "DASHBOARD_HOST": cloud.url,
            "CONVEX_OAUTH_CLIENT_ID": cloud.consent.client_id,
            "CONVEX_OAUTH_CLIENT_SECRET": cloud.consent.client_secret,
            "MCP_CONVEX_SIGN_IN_CLIENT_SECRET": SIGN_IN[1],
        }
        flags = {**local(tmp_path), **trusting(issuer), "sign_in_client_id": SIGN_IN[0]}
        async with (
            replicas(tmp_path, shared_environment(database) | environ, **flags) as pair,
            Browser(pair.balanced.origin) as browser,
            pair.balanced.client(issuer.token()) as world,
        ):
            cloud.consent.redirect_uris.add(f"{pair.balanced.origin}/convex/callback")
            asked = (await world.content("connect"))["link"]
            assert 200 == (await browser.get(asked, follow_redirects=True)).status_code
            answer = await browser.submit(asked, way="oauth")
            back = await approve(answer.headers["location"], "acme")
            assert 200 == (await browser.get(back, follow_redirects=True)).status_code

            states = [(await world.content("get_connection"))["connections"][0]["state"] for _ in range(2)]
            assert ["connected"] * 2 == states
            made = await world.content("create_project", name="Pet shop")
            assert {made["target"]["url"]} == {
                (await world.content("create_project", name="Pet shop"))["target"]["url"] for _ in range(2)
            }
        assert 2 == len(cloud.projects)


async def test_servers_of_several_machines_share_sandboxes_and_have_no_embedded_deployments(tmp_path, database, issuer):
    environ = shared_environment(database) | {"E2B_API_KEY": API_KEY}
    async with loopback_e2b(tmp_path / "boxes") as cloud, fake_deployment() as deployment:
        flags = {"sandbox": "e2b", "e2b_api_url": cloud.url, "e2b_sandbox_url": cloud.url, **trusting(issuer)}
        async with (
            replicas(tmp_path, environ, **flags) as pair,
            pair.balanced.client(issuer.token()) as world,
        ):
            await world.write(APP)
            refused = [(await world.call("list_tables")).structured_content["error"] for _ in range(2)]
            assert ["isolation_unavailable"] * 2 == [error["code"] for error in refused]
            assert "one of several" in refused[0]["message"]
            await pair.link(f"{issuer.url} alice", deployment.reach)
            assert ["pushed"] * 2 == [(await world.content("push"))["outcome"] for _ in range(2)]
            await world.write({"convex/more.ts": NOTES})
            assert ["convex/more.ts"] * 2 == [
                (await world.content("read_file", path="convex/more.ts"))["path"] for _ in range(2)
            ]
            assert 1 == len(cloud.alive)


@dataclass(frozen=True)
class WaitsFor(Fault):
    """The right answer, later."""

    moment: anyio.Event

    async def answer(self, right, closing):
        await self.moment.wait()
        return right


async def test_a_push_goes_on_while_the_database_restarts(tmp_path, database, postgres, issuer):
    restarted = anyio.Event()
    async with (
        fake_deployment() as deployment,
        replicas(tmp_path, shared_environment(database), **local(tmp_path), **trusting(issuer)) as pair,
        pair.balanced.client(issuer.token()) as world,
    ):
        await pair.link(f"{issuer.url} alice", deployment.reach)
        pair.balanced.furnish(f"{issuer.url} alice")
        await world.write(APP)
        deployment.script("finish_push", WaitsFor(restarted, applies=True))
        async with anyio.create_task_group() as tasks:

            async def restart() -> None:
                await deployment.until_asked("finish_push")
                await postgres.restart()
                restarted.set()

            tasks.start_soon(restart)
            pushed = await world.content("push")

        assert "pushed" == pushed["outcome"]
        for _ in pair.each:
            (content,) = (await world.client.read_resource("convex://pushes")).contents
            assert pushed["id"] in content.text
        assert 1 == deployment.pushes


async def test_what_changes_at_one_server_is_heard_at_the_other_by_its_own_principal_only(database, postgres):
    heard: dict[str, list[str]] = {"alice": [], "bob": []}
    ring = KeyRing((new_key(),))
    one, other = RelayedBus(), RelayedBus()

    def follow(name: str) -> None:
        SERVING.set(Serving(LazyServices(lambda: pytest.fail("opened")), whose=(name, "default")))
        OwnEvents(other).subscribe(lambda event: heard[name].append(event.uri))

    async def until_heard(name: str, uri: str) -> None:
        with anyio.fail_after(60):
            while uri not in heard[name]:  # noqa: ASYNC110 - listeners are no tasks
                await anyio.sleep(0.01)

    async with (
        open_store(database, ring) as store,
        open_store(database, ring) as another,
        one.joined(store.relay),
        other.joined(another.relay),
    ):
        follow("alice")
        follow("bob")
        await until_heard("alice", DEV_SERVER)  # whatever there was before it listened
        await until_heard("bob", DEV_SERVER)
        await Announcing(one, ("alice", "default")).updated("convex://pushes/1")
        await until_heard("alice", "convex://pushes/1")
        await Announcing(one, ("bob", "default")).updated("convex://pushes/2")
        await until_heard("bob", "convex://pushes/2")
        assert "convex://pushes/1" not in heard["bob"]
        assert "convex://pushes/2" not in heard["alice"]

        for uris in heard.values():
            uris.clear()
        await postgres.restart()
        await until_heard("bob", PUSHES)  # may have missed something
        await Announcing(one, ("alice", "default")).updated("convex://pushes/3")
        await until_heard("alice", "convex://pushes/3")
        assert "convex://pushes/3" not in heard["bob"]
