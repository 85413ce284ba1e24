"""What an attacker tries who has a token of their own, a victim's browser, or a name that leads here: all in vain."""

from __future__ import annotations

import anyio
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.doubles.backend import code, said
from tests.doubles.cloud import approve, fake_cloud
from tests.doubles.deployment import served
from tests.doubles.hosting import HEADERS, consenting, hosted
from tests.doubles.office import Browser
from tests.doubles.raw import exchange

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def convex(anyio_backend):
    async with fake_cloud() as running:
        running.add_project(running.add_team(), "shop")
        yield running


@pytest.fixture(scope="module")
async def host(tmp_path_factory, convex, issuer, anyio_backend):
    folder = tmp_path_factory.mktemp("attacked")
    async with hosted(consenting(folder, convex, issuer, vouching_clients="chat")) as running:
        yield running


@pytest.fixture
async def bait(anyio_backend):
    """A server that nobody has a reason to ask, and what it was asked for."""
    asked: list[str] = []

    async def answer(request):
        asked.append(str(request.url))
        return JSONResponse({"keys": []})

    async with served(Starlette(routes=[Route("/{path:path}", answer)]), lambda: None) as url:
        yield url, asked


async def let_in(host, browser: Browser, token: str) -> str:
    """Have *browser* be the person's whose backend has *token*, and return their page for connecting."""
    return (await browser.get((await said(host, token, "connect"))["url"])).headers["location"]


async def test_what_a_client_carries_between_rounds_is_good_for_its_principal_and_its_call_only(host, issuer):
    alice = issuer.token("alice")
    state = (await host.tool(alice, "connect"))["result"]["requestState"]
    done = {"page": {"action": "accept"}}
    spoilt = state[:-8] + state[-8:][::-1]
    attempts = [
        await host.tool(issuer.token("mallory"), "connect", requestState=state, inputResponses=done),
        await host.tool(alice, "connect", {"scope": "project"}, requestState=state, inputResponses=done),
        await host.tool(alice, "request_env_var", {"name": "A", "why": "b"}, requestState=state, inputResponses=done),
        await host.tool(alice, "connect", requestState=spoilt, inputResponses=done),
    ]

    assert [True] * 4 == ["error" in attempt for attempt in attempts], attempts
    assert None is (await said(host, issuer.token("mallory"), "status"))["connection"]


async def test_the_way_back_from_convex_is_good_for_its_person_and_its_browser_once(host, issuer):
    alice, mallory = issuer.token("ann"), issuer.token("mallory")
    async with Browser(host.origin) as of_alice, Browser(host.origin) as of_mallory:
        page = await let_in(host, of_alice, alice)
        await let_in(host, of_mallory, mallory)
        back = await approve((await of_alice.submit(page, way="oauth")).headers["location"], "acme")
        for tampered in (back.replace("state=", "state=x"), back.split("?")[0], f"{back.split('?')[0]}?code=x"):
            assert 404 == (await of_alice.get(tampered)).status_code, tampered
        assert 200 == (await of_alice.get(back, follow_redirects=True)).status_code
        assert [404, 404] == [(await browser.get(back)).status_code for browser in (of_alice, of_mallory)]

        stolen = await let_in(host, of_alice, issuer.token("ann"))
        back = await approve((await of_alice.submit(stolen, way="oauth")).headers["location"], "acme")
        assert 404 == (await of_mallory.get(back)).status_code
        assert 404 == (await of_alice.get(back)).status_code

    (id_,) = [one["id"] for one in (await said(host, alice, "status"))["connections"] if one["state"] == "connected"]
    assert "connected" not in [one["state"] for one in (await said(host, mallory, "status"))["connections"]]
    for name in (id_, id_[::-1]):
        assert None is (await said(host, mallory, "disconnect", {"connection": name}))["connection"]
    for name in (id_, id_[::-1]):
        answer = (await host.tool(mallory, "disconnect", {"connection": name}))["result"]["structuredContent"]
        assert "There is no connection with that id." == answer["error"]["message"]
    assert id_ in [one["id"] for one in (await said(host, alice, "status"))["connections"]]


async def test_a_browser_that_is_signed_in_opens_pages_and_calls_nothing(host, issuer):
    """So no web page can make it do so."""
    async with Browser(host.origin) as browser:
        page = await let_in(host, browser, issuer.token("alice"))
        assert 200 == (await browser.get(page)).status_code
        for path in ("/api/convex/disconnect", "/api/convex/dev/start", "/mcp"):
            assert 401 == (await browser.post(f"{host.origin}{path}", json={})).status_code, path
        forged = {"Origin": "https://evil.example.test", "Sec-Fetch-Site": "cross-site"}
        assert 403 == (await browser.submit(page, headers=forged, way="oauth")).status_code


async def test_no_token_that_callers_bring_is_passed_on(host, issuer, convex):
    token = issuer.token("passed-on")
    async with Browser(host.origin) as browser:
        page = await let_in(host, browser, token)
        back = await approve((await browser.submit(page, way="oauth")).headers["location"], "acme")
        await browser.get(back, follow_redirects=True)
    async with host.client(token) as world:
        assert await world.content("list_projects")

    assert convex.seen
    assert not [seen for seen in convex.seen if token in str(seen)]


async def test_nothing_that_a_caller_names_is_fetched(host, issuer, bait):
    url, asked = bait
    token = issuer.token("fetcher")
    for headers in (
        {"jku": url, "kid": "new"},
        {"x5u": url, "kid": url},
        {"kid": "new", "jwk": {"kty": "oct", "k": "AA"}},
    ):
        assert (401, "invalid_token") == await code(host, issuer.token(headers=headers), "status")
    assert (401, "invalid_token") == await code(host, issuer.token(iss=url), "status")
    assert (400, "invalid_arguments") == await code(host, token, "connect", {"scope": "team", "return_to": url})
    async with Browser(host.origin) as browser:
        page = await let_in(host, browser, token)
        for form in (
            {"way": "deploy_key", "key": "dev:otter-1|abcdefgh", "url": url},
            {"way": "team_token", "token": url},
        ):
            assert 422 == (await browser.submit(page, **form)).status_code
            page = await let_in(host, browser, token)
        for path in (f"connect?ticket={url}", f"callback?state={url}&code={url}", f"pages/{url}", f"connect?to={url}"):
            answer = await browser.get(f"{host.origin}/convex/{path}")
            assert answer.status_code in {400, 403, 404}, path
            assert url not in answer.headers.get("location", "")
    async with host.client(token) as world:
        for name, arguments in {
            "read_file": {"path": f"{url}/convex/a.ts"},
            "write_files": {"changes": [{"path": "file:///etc/passwd", "content": "x"}]},
            "link_project": {"project": url, "deployment": url},
            "create_project": {"name": "shop", "team": url},
        }.items():
            assert "internal_error" != await world.code(name, **arguments)

    assert [] == asked


async def test_a_name_that_was_rebound_to_this_machine_leads_nowhere(host, issuer):
    port = host.origin.rpartition(":")[2]
    pages = ("convex/connect", "convex/pages/x", "convex/signed-in", "panel", "panel/mcp")
    others = ("mcp", "api/convex/connect", "api/openapi.json", ".well-known/oauth-protected-resource/mcp", "metrics")
    async with host.http(issuer.token(), **HEADERS) as http:
        for path in (*pages, *others, "whatever"):
            for name in ("evil.example.test", f"127.0.0.1.evil.example.test:{port}"):
                answer = await http.post(f"{host.origin}/{path}", headers={"Host": name})
                looked = await http.get(f"{host.origin}/{path}", headers={"Host": name})
                assert [421, 421] == [answer.status_code, looked.status_code], (path, name)
                assert "evil" not in answer.text + looked.text


async def test_a_body_without_an_end_is_refused_before_it_has_come(host, issuer):
    async def begin(path: str) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: {host.origin[7:]}\r\nAuthorization: Bearer {issuer.token()}\r\n"
        rest = "Accept: */*\r\nContent-Type: application/json\r\nContent-Length: 999999999999\r\n\r\n{"
        assert [413] == (await exchange(host.origin, f"{head}{rest}".encode(), patience_s=2)).statuses, path

    async with anyio.create_task_group() as tasks:
        for path in ("/mcp", "/api/convex/connect"):
            tasks.start_soon(begin, path)
