"""Connecting, through the protocol: a person who agrees, refuses, takes their time, and a Convex that is in the way."""

from __future__ import annotations

import contextlib

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import URL_ELICITATION_REQUIRED, ElicitRequestURLParams, ElicitResult

from mcp_convex.server import build_server
from tests.doubles.cloud import fake_cloud
from tests.doubles.deployment import Says, served
from tests.doubles.office import office, office_settings

pytestmark = pytest.mark.anyio

ERAS = ["auto", "legacy"]


class Person:
    """Who is shown a link by their client, and agrees to open it, or does not."""

    def __init__(self, action="accept", *, then=None):
        self.action = action
        self.then = then
        self.links = []
        self.messages = []

    async def __call__(self, context, params):
        assert isinstance(params, ElicitRequestURLParams)
        self.links.append(params.url)
        self.messages.append(params.message)
        if self.then:
            await self.then(params.url)
        return ElicitResult(action=self.action)


@pytest.fixture(params=ERAS)
async def desk(request, tmp_path):
    """A server and a client that shows no links."""
    async with office(tmp_path, mode=request.param) as running:
        yield running


@contextlib.asynccontextmanager
async def attended(tmp_path, mode, person, **given):
    """A server and a client that shows links to *person*."""
    async with office(tmp_path, mode=mode, elicitation_callback=person, **given) as running:
        yield running


async def test_a_client_that_shows_no_links_gets_the_link_in_the_answer(desk):
    result = await desk.client.call_tool("connect", {})

    content = result.structured_content
    assert content["link"].startswith(f"{desk.origin}/convex/pages/")
    assert content["link"] in result.content[0].text
    assert (True, "connecting") == (content["waiting"], content["connection"]["state"])
    assert "get_connection" in content["next_step"]


async def test_what_the_person_does_shows_in_the_connection(desk):
    assert "Connected to Convex" in (await desk.consent(await desk.link())).text

    connection = await desk.connection()
    assert ("connected", "team", "oauth") == tuple(connection[key] for key in ("state", "scope", "grant"))
    assert "acme" == connection["team"]["slug"]


@pytest.mark.parametrize("mode", ERAS)
async def test_a_client_that_shows_links_waits_for_the_person(tmp_path, mode):
    async def agree(link):
        await desk.consent(link)

    person = Person(then=agree)
    async with attended(tmp_path, mode, person) as desk:
        answer = await desk.call("connect")

    assert (False, "connected", None) == (answer["waiting"], answer["connection"]["state"], answer["link"])
    assert 1 == len(person.links)
    assert "Convex" in person.messages[0]


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_person_who_does_not_open_the_link_has_declined(tmp_path, mode, action):
    async with attended(tmp_path, mode, Person(action)) as desk:
        assert "declined" == await desk.code("connect")

        connection = await desk.connection()
        assert ("failed", True) == (connection["state"], connection["retryable"])


async def test_a_call_is_answered_though_the_person_does_nothing(tmp_path):
    async def dither(link):
        await anyio.sleep_forever()

    answers = []

    async def ask(desk):
        answers.append(await desk.call("connect"))

    async with contextlib.AsyncExitStack() as stack:
        desks = []
        for at, (mode, person) in enumerate(
            (("auto", Person()), ("legacy", Person()), ("legacy", Person(then=dither)))
        ):
            desks.append(await stack.enter_async_context(attended(tmp_path / str(at), mode, person)))
            assert [] == await desks[-1].connections()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for desk in desks:
                    tasks.start_soon(ask, desk)

    assert [True] * 3 == [answer["waiting"] for answer in answers]
    assert all("get_connection" in answer["next_step"] for answer in answers)
    assert [False, False, True] == [answer["link"] is not None for answer in answers]


async def test_a_client_that_cannot_be_called_back_is_told_by_an_error(tmp_path):
    """Handshake era, with plain JSON answers: there is no stream on which the server could ask."""
    async with fake_cloud() as cloud:
        server = build_server(office_settings(tmp_path, cloud))
        app = server.streamable_http_app(json_response=True)
        async with (
            app.router.lifespan_context(app),
            served(app, lambda: None) as url,
            Client(f"{url}/mcp", mode="legacy", elicitation_callback=Person()) as client,
        ):
            with pytest.raises(MCPError) as refused:
                await client.call_tool("connect", {})

    assert URL_ELICITATION_REQUIRED == refused.value.error.code
    (elicitation,) = refused.value.error.data["elicitations"]
    assert "/convex/pages/" in elicitation["url"]


async def test_asking_again_while_one_waits_gives_a_new_link_to_the_same_connection(desk):
    first = await desk.link()
    second = await desk.link()

    assert first != second
    await desk.consent(first)
    assert "connected" == (await desk.connection())["state"]


async def test_several_teams_have_one_connection_each(desk):
    desk.cloud.add_team("globex", "Globex")
    await desk.connect()
    await desk.connect(choice="globex")
    await desk.connect()

    assert {"acme", "globex"} == {one["team"]["slug"] for one in await desk.connections()}
    assert 2 == len(await desk.connections())


async def test_disconnecting_forgets_the_token_and_says_what_remains(desk):
    connection = await desk.connect()

    answer = await desk.call("disconnect")

    assert ("disconnected", connection["id"]) == (answer["connection"]["state"], answer["connection"]["id"])
    assert "Authorized applications" in answer["next_step"]
    assert [] == await desk.connections()
    assert "not_connected" == await desk.code("disconnect")


async def test_of_several_connections_one_has_to_be_named(desk):
    desk.cloud.add_team("globex", "Globex")
    first, second = await desk.connect(), await desk.connect(choice="globex")

    assert "invalid_arguments" == await desk.code("disconnect")
    assert "invalid_arguments" == await desk.code("disconnect", connection="of nobody")
    await desk.call("disconnect", connection=first["id"])
    assert second["id"] == (await desk.connection())["id"]


async def test_who_disconnects_while_the_person_is_at_convex_stays_disconnected(desk):
    async with desk.browser() as browser:
        back = await desk.granted(browser, await desk.link())
        await desk.call("disconnect")

        assert 404 == (await browser.get(back)).status_code
    assert [] == await desk.connections()


@pytest.mark.parametrize(
    ("fault", "retryable"),
    [
        pytest.param(Says(400, "InvalidCode"), True, id="the code has expired"),
        pytest.param(Says(401, "InvalidClientCredentials"), False, id="the application is not known"),
        pytest.param(Says(429), True, id="too many calls"),
        pytest.param(Says(500), True, id="Convex is down"),
    ],
)
async def test_what_convex_refuses_is_said_and_whether_trying_again_helps(desk, fault, retryable):
    desk.cloud.script("token", fault)
    page = await desk.consent(await desk.link())

    connection = await desk.connection()
    assert ("failed", retryable) == (connection["state"], connection["retryable"])
    assert "Not connected" in page.text
    assert connection["reason"].split(":")[0].split("'")[0] in page.text


async def test_connecting_again_after_a_failure_leaves_no_trace_of_it(desk):
    desk.cloud.script("token", Says(500))
    await desk.consent(await desk.link())

    await desk.connect()

    assert "connected" == (await desk.connection())["state"]


async def test_no_answer_holds_a_credential_or_what_leads_to_one(desk):
    answers = [await desk.client.call_tool("connect", {})]
    async with desk.browser() as browser:
        back = await desk.granted(browser, answers[0].structured_content["link"])
        answers.append(await desk.client.call_tool("get_connection", {}))
        await browser.get(back)
    answers.append(await desk.client.call_tool("get_connection", {}))
    answers.append(await desk.client.call_tool("disconnect", {}))

    said = "".join(answer.model_dump_json() for answer in answers)
    (grant,) = desk.cloud.grants
    secrets = (
        grant.secret,
        desk.cloud.consent.client_secret,
        *back.partition("?")[2].replace("=", "&").split("&")[1::2],
    )
    assert 4 == len(secrets)
    assert not [secret for secret in secrets if secret in said]


async def test_nothing_secret_is_legible_in_the_store_or_left_in_it(desk):
    async with desk.browser() as browser:
        back = await desk.granted(browser, await desk.link())
        await browser.get(back)
    (grant,) = desk.cloud.grants
    (exchange,) = desk.cloud.asked("token")
    secrets = (grant.secret, exchange.body["code_verifier"], exchange.body["code"])

    kept = b"".join(path.read_bytes() for path in desk.settings.data_dir.glob("store.db*"))

    assert not [secret for secret in secrets if secret.encode() in kept]
