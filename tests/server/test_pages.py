"""Pages of the hosted server: a browser signs in with the issuer, and sees what is for its person only."""

from __future__ import annotations

import pytest
from starlette.responses import Response

from tests.doubles.cloud import approve, fake_cloud
from tests.doubles.hosting import hosted_with_pages
from tests.doubles.issuer import AUDIENCE
from tests.doubles.office import Browser

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def host(tmp_path_factory, issuer, anyio_backend):
    async with fake_cloud() as cloud, hosted_with_pages(tmp_path_factory.mktemp("pages"), issuer, cloud) as running:
        yield running


@pytest.fixture(autouse=True)
def alice_is_at_the_browser(issuer):
    issuer.person, issuer.misbehave, issuer.id_claims = "alice", None, {}


async def link(host, token: str, mode: str = "auto", query: str = "") -> str:
    async with host.client(token, mode=mode, query=query) as world:
        return (await world.content("connect"))["link"]


async def opened(browser, url: str):
    return await browser.get(url, follow_redirects=True)


async def way_back(browser, url: str) -> str:
    """Return where the issuer sends a browser that wants to see *url*."""
    away = await browser.get(url)
    assert 303 == away.status_code
    return (await browser.get(away.headers["location"])).headers["location"]


@pytest.mark.parametrize(("mode", "query"), [("auto", ""), ("legacy", "?workspace=a-shop")])
async def test_a_person_signs_in_and_connects_their_account(host, issuer, mode, query):
    issuer.person = f"alice-{mode}"
    asked = await link(host, issuer.token(issuer.person), mode, query)
    async with Browser(host.origin) as browser:
        assert 200 == (await opened(browser, asked)).status_code
        answer = await browser.submit(asked, way="oauth")
        assert 303 == answer.status_code, answer.text
        done = await opened(browser, await approve(answer.headers["location"], "acme"))
    assert 200 == done.status_code

    async with host.client(issuer.token(issuer.person), mode=mode, query=query) as world:
        (connection,) = (await world.content("get_connection"))["connections"]
        assert "connected" == connection["state"]
        assert ["shop"] == [project["slug"] for project in (await world.content("list_projects"))["projects"]]
    async with host.client(issuer.token("bob"), mode=mode) as world:
        assert [] == (await world.content("get_connection"))["connections"]


async def test_a_link_that_is_sent_to_a_victim_shows_them_nothing_and_is_not_used_up(host, issuer):
    asked = await link(host, issuer.token("mallory"))
    async with Browser(host.origin) as victim:
        seen = await opened(victim, asked)
        assert 404 == seen.status_code
        assert "This page is gone" in seen.text
        assert 403 == (await victim.send_form(asked, csrf="0" * 64, way="oauth")).status_code
    issuer.person = "mallory"
    async with Browser(host.origin) as browser:
        assert 200 == (await opened(browser, asked)).status_code


async def test_who_has_not_signed_in_is_sent_to_the_issuer_and_nothing_is_taken_from_them(host, issuer):
    asked = await link(host, issuer.token())
    async with Browser(host.origin) as browser:
        away = await browser.get(asked)
        assert 303 == away.status_code
        assert away.headers["location"].startswith(f"{issuer.url}/authorize?")
        assert 403 == (await browser.send_form(asked, csrf="0" * 64, way="refuse")).status_code
        for path in ("callback?state=x&code=y", "connections/1", "done/set", "signed-in", "signed-in?code=x&state=y"):
            assert 403 == (await browser.get(f"{host.origin}/convex/{path}")).status_code, path


async def test_the_way_back_from_the_issuer_is_good_in_the_same_browser_only(host, issuer):
    asked = await link(host, issuer.token())
    async with Browser(host.origin) as browser, Browser(host.origin) as another:
        back = await way_back(browser, asked)
        assert 403 == (await another.get(back)).status_code
        await way_back(another, asked)
        assert 403 == (await another.get(back)).status_code
        assert 403 == (await browser.get(back.replace("state=", "state=x"))).status_code
        assert 200 == (await opened(browser, back)).status_code
        assert 403 == (await browser.get(back)).status_code


@pytest.mark.parametrize(
    "wrong",
    [{"nonce": "another"}, {"nonce": None}, {"aud": AUDIENCE}, {"iss": "https://another.test"}, {"exp": 1}],
    ids=str,
)
async def test_who_signed_in_is_what_the_issuer_says_for_this_very_way(host, issuer, wrong):
    asked = await link(host, issuer.token())
    async with Browser(host.origin) as browser:
        back = await way_back(browser, asked)
        issuer.id_claims = wrong
        assert 403 == (await browser.get(back)).status_code
        assert 303 == (await browser.get(asked)).status_code


async def test_while_the_issuer_is_away_nobody_signs_in_and_the_operator_is_told_why(tmp_path, issuer, caplog):
    async with (
        fake_cloud() as cloud,
        hosted_with_pages(tmp_path, issuer, cloud) as host,
        Browser(host.origin) as browser,
    ):
        asked = f"{host.origin}/convex/connect"
        issuer.misbehave = lambda: Response(status_code=502)
        assert 503 == (await browser.get(asked)).status_code
        issuer.misbehave = None
        back = await way_back(browser, asked)
        issuer.misbehave = lambda: Response(status_code=502)
        assert 503 == (await browser.get(back)).status_code
    assert ["pages: signing in failed: the issuer answered 502"] * 2 == caplog.messages


async def test_cookies_are_out_of_reach_of_scripts_and_pages_answer_no_other_host(host, issuer):
    asked = await link(host, issuer.token())
    async with Browser(host.origin) as browser:
        away = await browser.get(asked)
        assert all("HttpOnly" in cookie and "SameSite=lax" in cookie for cookie in away.headers.get_list("set-cookie"))
        assert "frame-ancestors 'none'" in away.headers["content-security-policy"]
        assert 421 == (await browser.get(asked, headers={"Host": "evil.example.test"})).status_code
