"""What the pages refuse, as seen by what is no browser: wrong hosts, wrong origins, forged forms, other accounts."""

from __future__ import annotations

import re
import socket
import sys

import anyio
import httpx2
import pytest

from mcp_convex.domain.models import LOCAL_PRINCIPAL
from mcp_convex.domain.ports import Visit
from mcp_convex.web.site import LARGEST_FORM
from mcp_convex.web.this_account import ThisAccount

pytestmark = pytest.mark.anyio

CALM = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


async def test_every_answer_carries_the_same_guards(desk):
    link = await desk.link()
    async with desk.browser() as browser:
        answers = [
            await browser.get(link),
            await browser.get(f"{desk.origin}/convex/pages/unknown"),
            await browser.get(f"{desk.origin}/convex/callback?state=unknown&code=unknown"),
            await browser.get(f"{desk.origin}/elsewhere"),
            await browser.get(link, headers={"Host": "evil.example"}),
            await browser.submit(link, way="oauth"),
        ]

    assert [200, 404, 404, 404, 421, 303] == [answer.status_code for answer in answers]
    for answer in answers:
        assert CALM.items() <= answer.headers.items(), answer.url
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
        assert ("'none'", "'none'", "'none'") == tuple(
            policy[name] for name in ("default-src", "frame-ancestors", "base-uri")
        )
        assert f"'self' {desk.cloud.url}" == policy["form-action"]
        assert policy["style-src"].startswith("'sha256-")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:{port}", "localhost", "localhost:1", ""])
async def test_a_host_that_is_not_ours_is_refused(desk, host):
    """A name in the hands of another, pointed at this machine, would otherwise make our pages theirs."""
    link = await desk.link()
    async with desk.browser() as browser:
        answer = await browser.get(link, headers={"Host": host.format(port=desk.settings.pages_port)})

    assert 421 == answer.status_code


async def test_the_browser_is_known_by_a_cookie_that_scripts_do_not_see(desk):
    async with desk.browser() as browser:
        said = (await browser.get(await desk.link())).headers["set-cookie"]

    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= {part.strip() for part in said.split(";")}
    assert "Domain" not in said


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_form_that_another_site_sends_is_refused_and_uses_nothing_up(desk, headers):
    link = await desk.link()
    async with desk.browser() as browser:
        assert 403 == (await browser.submit(link, headers=headers, way="oauth")).status_code
        assert 303 == (await browser.submit(link, way="oauth")).status_code


async def test_a_form_without_its_own_token_is_refused(desk):
    first, second = await desk.link(), await desk.link()
    async with desk.browser() as browser, desk.browser() as stranger:
        token = re.search(r'name="csrf" value="(\w+)"', (await browser.get(first)).text)[1]
        refused = [
            await browser.send_form(first, way="oauth"),
            await browser.send_form(first, way="oauth", csrf="0" * 64),
            await browser.send_form(first, way="oauth", csrf="é"),
            await browser.send_form(second, way="oauth", csrf=token),
            await stranger.send_form(first, way="oauth", csrf=token),
        ]

    assert [403] * 5 == [answer.status_code for answer in refused]


@pytest.mark.parametrize(
    "body", [b"x" * (LARGEST_FORM + 1), b"no form", b"a=1" + b"&a=1" * 20, "csrf=é".encode(), b"csrf=%ff&way=oauth"]
)
async def test_what_is_no_form_of_ours_is_refused(desk, body):
    link = await desk.link()
    async with desk.browser() as browser:
        await browser.get(link)
        answer = await browser.post(link, content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert answer.status_code in {400, 403}
    assert "connecting" == (await desk.connection())["state"]


async def test_a_choice_that_the_page_does_not_offer_is_refused(desk):
    grant = desk.cloud.grant("team_token", desk.cloud.teams[0])
    async with desk.browser() as browser:
        for way in ("cli_login", "team_token", "deploy_key", "value", "", "oauth2"):
            answer = await browser.submit(await desk.link(), way=way, token=grant.token, url="http://x", key="k")
            assert 422 == answer.status_code, way

    assert "connecting" == (await desk.connection())["state"]


async def test_two_who_send_a_form_at_once_are_not_both_taken(desk):
    link = await desk.link()
    async with desk.browser() as browser:
        token = re.search(r'name="csrf" value="(\w+)"', (await browser.get(link)).text)[1]
        statuses = []

        async def send():
            statuses.append((await browser.send_form(link, way="oauth", csrf=token)).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(send)

    assert [303, 404, 404, 404] == sorted(statuses)


async def test_convex_gets_a_state_and_a_challenge_that_nobody_can_guess(desk):
    seen = []
    async with desk.browser() as browser:
        for _ in range(2):
            answer = await browser.submit(await desk.link(), way="oauth")
            seen.append(httpx2.URL(answer.headers["location"]))

    for url in seen:
        assert ("/oauth/authorize/team", "S256", "code") == (
            url.path,
            url.params["code_challenge_method"],
            url.params["response_type"],
        )
        assert f"{desk.origin}/convex/callback" == url.params["redirect_uri"]
        assert 43 == len(url.params["code_challenge"])
    for name in ("state", "code_challenge"):
        assert seen[0].params[name] != seen[1].params[name]


async def test_a_callback_without_a_code_fails_the_connection(desk):
    async with desk.browser() as browser:
        state = httpx2.URL((await browser.submit(await desk.link(), way="oauth")).headers["location"]).params["state"]
        await browser.get(f"{desk.origin}/convex/callback?error=access_denied&state={state}")

    assert "failed" == (await desk.connection())["state"]


async def test_the_address_after_the_callback_holds_no_code(desk):
    async with desk.browser() as browser:
        page = await browser.get(await desk.granted(browser, await desk.link()), follow_redirects=True)

    assert not page.url.query
    assert "code" not in str(page.url)


# --- whose browser -------------------------------------------------------------------------------------------------


async def visit_of(listener, host, family=socket.AF_INET):
    client = socket.socket(family, socket.SOCK_STREAM)
    client.connect((host, listener.getsockname()[1]))
    served, peer = listener.accept()
    return client, served, Visit(browser=(peer[0], peer[1]), server=served.getsockname()[:2])


@pytest.mark.parametrize(
    ("bound", "family", "host"),
    [
        ("127.0.0.1", socket.AF_INET, "127.0.0.1"),
        ("127.0.0.1", socket.AF_INET6, "::ffff:127.0.0.1"),
        ("::1", socket.AF_INET6, "::1"),
    ],
    ids=["IPv4", "IPv4 through an IPv6 socket", "IPv6"],
)
@pytest.mark.parametrize("accounts", [None, frozenset({2**31})], ids=["this account", "another account"])
async def test_the_account_at_the_other_end_of_the_connection_is_told(bound, family, host, accounts):
    with socket.create_server((bound, 0), family=socket.AF_INET6 if ":" in bound else socket.AF_INET) as listener:
        client, served, visit = await visit_of(listener, host, family)
        with client, served:
            known = await (ThisAccount() if accounts is None else ThisAccount(accounts)).who(visit)

    mine = accounts is None or sys.platform != "linux"
    assert (LOCAL_PRINCIPAL if mine else None) == known


async def test_who_is_gone_or_on_another_machine_is_nobody():
    server = ("127.0.0.1", 1)

    assert await ThisAccount().who(Visit(browser=("192.0.2.7", 40000), server=server)) is None
    if sys.platform == "linux":
        assert await ThisAccount().who(Visit(browser=("127.0.0.1", 1), server=server)) is None


async def test_a_visitor_cannot_say_where_they_come_from(desk):
    """A proxy's headers are nobody's word here."""
    headers = {"X-Forwarded-For": "192.0.2.7", "Forwarded": "for=192.0.2.7", "X-Forwarded-Proto": "https"}
    async with desk.browser() as browser:
        assert 200 == (await browser.get(await desk.link(), headers=headers)).status_code
