"""The HTTP API as a chat backend calls it: it connects its person, looks, disconnects, and sees nothing of others'."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from tests.doubles.backend import agree, call, code, said
from tests.doubles.hosting import consenting, hosted, tokens_file
from tests.doubles.office import Browser

pytestmark = pytest.mark.anyio

CHAT = "chat"
"""The backend that is trusted to say whose browser it sends: what `issuer.token` names as its client."""


@pytest.fixture(scope="module")
async def host(tmp_path_factory, convex, issuer, anyio_backend):
    settings = consenting(
        tmp_path_factory.mktemp("api"),
        convex,
        issuer,
        vouching_clients=CHAT,
    )
    async with hosted(settings) as running:
        yield running


@pytest.fixture(autouse=True)
def alice_is_at_the_browser(issuer):
    issuer.person = "alice"


async def test_a_backend_connects_its_person_looks_and_disconnects(host, issuer, convex):
    token = issuer.token("ada")
    before = await said(host, token, "status")
    asked = await said(host, token, "connect", {"scope": "team"}, "?workspace=shop")
    assert asked["signs_in"]
    async with Browser(host.origin) as browser:
        let_in = await browser.get(asked["url"])
        assert 200 == (await agree(browser, let_in.headers["location"])).status_code
    during = await said(host, token, "status")
    others = await said(host, issuer.token("bob"), "status")
    done = await said(host, token, "disconnect")
    after = await said(host, token, "status")

    assert (None, "connecting", "connected") == (
        before["connection"],
        asked["connection"]["state"],
        during["connection"]["state"],
    )
    assert "acme" == during["connection"]["team"]["slug"]
    assert (None, [], None) == (others["connection"], others["connections"], others["last_push"])
    assert ("disconnected", during["connection"]["id"]) == (done["connection"]["state"], done["connection"]["id"])
    assert [] == after["connections"]
    everything = json.dumps([before, asked, during, others, done, after])
    assert not [grant for grant in convex.grants if grant.token in everything or grant.secret in everything]


async def test_what_was_done_already_is_no_error(host, issuer):
    token = issuer.token("erin")
    first, second = [await said(host, token, "connect") for _ in range(2)]
    assert first["connection"]["id"] == second["connection"]["id"]
    assert first["url"] != second["url"]

    once, twice = [await said(host, token, "disconnect", {"connection": first["connection"]["id"]}) for _ in range(2)]

    assert (first["connection"]["id"], None) == (once["connection"]["id"], twice["connection"])


async def test_a_call_leaves_an_event_in_the_audit_of_its_principal(host, issuer):
    token = issuer.token("frank")
    await said(host, token, "connect")
    await said(host, token, "disconnect")
    await code(host, token, "disconnect", {"surprise": 1})

    async with host.client(token) as world:
        (read,) = (await world.client.read_resource("convex://audit")).contents
    events = json.loads(read.text)["events"]
    assert [("disconnect", "ok"), ("connect", "asked")] == [(event["tool"], event["outcome"]) for event in events]


async def test_a_ticket_lets_one_browser_in_once_and_as_its_own_person_only(host, issuer):
    issuer.person = "mallory"
    asked = await said(host, issuer.token("ada-2"), "connect")
    async with Browser(host.origin) as browser, Browser(host.origin) as another:
        assert 403 == (await browser.head(asked["url"])).status_code
        let_in = await browser.get(asked["url"])
        assert (303, 403) == (let_in.status_code, (await another.get(asked["url"])).status_code)
        page = let_in.headers["location"]
        assert 200 == (await browser.get(page)).status_code
        assert 404 == (await another.get(page, follow_redirects=True)).status_code
        theirs = await said(host, issuer.token("bob"), "connect")
        of_bob = (await another.get(theirs["url"])).headers["location"]
        assert 404 == (await browser.get(of_bob)).status_code


@pytest.mark.parametrize(
    "spoil", [lambda url: url[:-3], lambda url: f"{url}x", lambda url: url.partition("=")[0] + "=x"]
)
async def test_a_ticket_that_was_tampered_with_opens_nothing(host, issuer, spoil):
    asked = await said(host, issuer.token("ada-3"), "connect")
    async with Browser(host.origin) as browser:
        answer = await browser.get(spoil(asked["url"]))
        assert (403, None) == (answer.status_code, answer.headers.get("set-cookie"))
        assert 303 == (await browser.get(asked["url"])).status_code


async def test_a_ticket_is_good_for_a_while_and_nothing_else_is_one(host, issuer):
    asked = await said(host, issuer.token("ada-4"), "connect")
    late = await said(host, issuer.token("ada-5"), "connect")
    with closing(sqlite3.connect(host.settings.data_dir / "store.db")) as database, database:
        database.execute("UPDATE pages SET expires_at = 1 WHERE principal LIKE '%ada-5'")
    async with Browser(host.origin) as browser:
        assert 403 == (await browser.get(late["url"])).status_code
        await browser.get(asked["url"])
        (cookie,) = [one.value for one in browser.cookies.jar if one.name.endswith("mcp_convex_person")]
        assert 403 == (await browser.get(f"{host.origin}/convex/connect?ticket={cookie}")).status_code
    assert timedelta(minutes=1) < datetime.fromisoformat(asked["expires_at"]) - datetime.now(UTC) < timedelta(minutes=2)


async def test_who_is_not_trusted_to_say_whose_browser_it_is_gets_a_page_where_it_signs_in(host, issuer):
    asked = await said(host, issuer.token(client_id="an-ide"), "connect")
    assert not asked["signs_in"]
    async with Browser(host.origin) as browser:
        away = await browser.get(asked["url"])
        assert away.headers["location"].startswith(f"{issuer.url}/authorize?")
        assert 200 == (await browser.get(asked["url"], follow_redirects=True)).status_code
        assert 200 == (await agree(browser, asked["url"])).status_code
    assert "connected" == (await said(host, issuer.token(), "status"))["connection"]["state"]


async def test_a_person_begins_in_their_own_browser(host, issuer):
    issuer.person = "grace"
    async with Browser(host.origin) as browser:
        begin = f"{host.origin}/convex/connect?workspace=shop&scope=project"
        opened = await browser.get(begin, follow_redirects=True)
        assert (200, f"{host.origin}/convex/pages/") == (opened.status_code, str(opened.url)[:-43])
        assert "one project of yours" in opened.text
        for wrong in ("?workspace=..", "?scope=all", "?surprise=1", "?scope=team&scope=project"):
            assert 400 == (await browser.get(f"{host.origin}/convex/connect{wrong}")).status_code, wrong
        picture = await browser.get(begin, headers={"Sec-Fetch-Dest": "image"})
        assert 400 == picture.status_code
    assert "connecting" == (await said(host, issuer.token("grace"), "status"))["connection"]["state"]


async def test_without_an_issuer_a_trusted_backend_brings_its_people(tmp_path, convex):
    file, tokens = tokens_file(tmp_path, "alice", "bob")
    settings = consenting(tmp_path, convex, tokens_file=str(file), vouching_clients="alice")
    async with hosted(settings) as running:
        asked = await said(running, tokens["alice"], "connect")
        async with Browser(running.origin) as browser, Browser(running.origin) as another:
            let_in = await browser.get(asked["url"])
            assert 200 == (await agree(browser, let_in.headers["location"])).status_code
            assert 403 == (await another.get(f"{running.origin}/convex/connect")).status_code
        assert "connected" == (await said(running, tokens["alice"], "status"))["connection"]["state"]
        assert not (await said(running, tokens["bob"], "connect"))["signs_in"]


async def test_only_who_may_call_mcp_may_call_this(host, issuer):
    answer = await call(host, None, "status")
    assert 'Bearer error="invalid_token", resource_metadata="' in answer.headers["www-authenticate"]
    assert (401, "invalid_token") == await code(host, None, "status")
    assert (401, "invalid_token") == await code(host, issuer.token(aud="https://another.test/mcp"), "status")
    assert (403, "insufficient_scope") == await code(host, issuer.token(scope="openid"), "connect")
    assert (421, "host_refused") == await code(host, issuer.token(), "status", Host="evil.example.test")
    assert (403, "origin_refused") == await code(host, issuer.token(), "status", Origin="https://evil.example.test")


@pytest.mark.parametrize(
    ("scope", "query", "path"),
    [
        ("convex convex:files", "", "status"),
        ("convex", "?toolsets=files", "status"),
        ("convex", "?read_only=true", "connect"),
        ("convex convex:read", "", "disconnect"),
    ],
)
async def test_the_scopes_and_the_url_narrow_it_as_they_narrow_the_tools(host, issuer, scope, query, path):
    assert (403, "action_not_allowed") == await code(host, issuer.token(scope=scope), path, query=query)


@pytest.mark.parametrize("query", ["?surprise=1", "?workspace=..", "?read_only=maybe", "?workspace=a&workspace=b"])
async def test_a_url_that_is_not_understood_is_refused(host, issuer, query):
    assert (400, "invalid_arguments") == await code(host, issuer.token(), "status", query=query)


@pytest.mark.parametrize("body", [{"scope": "all"}, {"surprise": 1}, [], None, "team", {"scope": None}])
async def test_a_body_that_is_not_understood_is_refused(host, issuer, body):
    async with host.http(issuer.token()) as http:
        answer = await http.post(
            f"{host.origin}/api/convex/connect", content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
    assert (400, "invalid_arguments") == (answer.status_code, answer.json()["code"])


async def test_what_is_no_call_of_it_is_named(host, issuer):
    token = issuer.token()
    async with host.http(token) as http:
        url = f"{host.origin}/api/convex"
        form = await http.post(f"{url}/connect", content="scope=team", headers={"Content-Type": "text/plain"})
        large = await http.post(f"{url}/connect", json={"scope": "x" * 20_000})
        unknown = await http.post(f"{url}/reconnect")
        wrong = await http.get(f"{url}/connect")

    answers = (form, large, unknown, wrong)
    assert [415, 413, 404, 405] == [answer.status_code for answer in answers]
    assert ["invalid_arguments", "too_large", "not_found", "method_not_allowed"] == [
        answer.json()["code"] for answer in answers
    ]
    assert "POST" == wrong.headers["allow"]
