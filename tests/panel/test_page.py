"""The panel as a page of a hosted server, in a real browser whose person signs in with the issuer."""

from __future__ import annotations

import httpx2
import pytest

from mcp_convex.domain.identity import Identity
from tests.doubles.hosting import DISCOVER, HEADERS, hosted, hosted_settings, hosted_with_pages, tokens_file
from tests.doubles.office import free_port

pytestmark = pytest.mark.anyio

HOSTILE = '<img src="x" onerror="document.title = 1"><script>document.title = 2</script>'
FOCUSED = "document.activeElement.textContent"
IS_LIVE = "document.querySelector('#line').innerText === 'live'"
IS_WIDER = "document.documentElement.scrollWidth > innerWidth"
CHOOSE_SHOP = """{
  const projects = document.querySelector("#project");
  projects.value = "acme/shop";
  projects.dispatchEvent(new Event("change"));
}"""
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "list_files", "arguments": {}, "_meta": DISCOVER["params"]["_meta"]},
}


@pytest.fixture(scope="module")
async def host(tmp_path_factory, issuer, served_cloud, anyio_backend):
    async with hosted_with_pages(tmp_path_factory.mktemp("panel"), issuer, served_cloud) as running:
        yield running


async def panel_of(host, issuer, tab, person: str, query: str = "") -> None:
    issuer.person = person
    await tab.open(f"{host.origin}/panel{query}")


async def follow(tab, button: str) -> None:
    """Push a button that opens a page, in the same tab instead of another."""
    await tab.evaluate("window.open = (url) => { document.body.dataset.opened = url }")
    await tab.push(button)
    await tab.holds("document.body.dataset.opened")
    await tab.open(await tab.evaluate("document.body.dataset.opened"))


async def is_inert(tab) -> bool:
    """Say whether what was shown stayed text, and the browser had nothing to refuse."""
    made = await tab.evaluate("document.querySelectorAll('main img, main script').length")
    title = await tab.evaluate("document.title")
    return (0, True, []) == (made, title.startswith("Convex"), tab.complaints)


async def test_a_person_signs_in_connects_and_links_a_project_from_the_panel(host, issuer, served_cloud, tab):
    served_cloud.add_project(served_cloud.teams[0], HOSTILE)
    await panel_of(host, issuer, tab, "alice")
    await follow(tab, "Connect to Convex")
    await tab.click("Continue to Convex")
    await tab.choose("acme")
    await tab.click("Authorize")

    await panel_of(host, issuer, tab, "alice")
    await tab.shows("connected")
    await tab.push("Choose a project")
    await tab.holds("document.activeElement.id === 'project'")
    assert HOSTILE in await tab.evaluate("document.querySelector('#project').textContent")
    await tab.evaluate(CHOOSE_SHOP)
    await tab.push("Use it")
    await tab.shows("This workspace now works with that deployment.")
    await tab.shows("Dashboard")
    assert await tab.evaluate("document.querySelector('section a').href.startsWith('http')")
    shown = await tab.evaluate("document.documentElement.outerHTML")
    assert not [grant for grant in served_cloud.grants if grant.token in shown]

    await tab.push("Disconnect acme")
    await tab.push("Disconnect acme for good")
    await tab.shows("Not connected.")
    async with host.client(issuer.token("alice")) as world:
        left = await world.content("get_connection")
    assert ([], None) == (left["connections"], left["target"])
    assert await is_inert(tab)


async def test_the_panel_follows_what_happens_in_its_persons_workspace_and_in_no_other(host, issuer, browser):
    carol, elsewhere, dave = await browser.tab(), await browser.tab(), await browser.tab()
    await panel_of(host, issuer, carol, "carol", "?workspace=shop")
    await panel_of(host, issuer, elsewhere, "carol")
    await panel_of(host, issuer, dave, "dave", "?workspace=shop")
    for tab in (carol, elsewhere, dave):
        await tab.holds(IS_LIVE)
        await tab.shows("Nothing was pushed yet.")

    async with host.client(issuer.token("carol"), query="?workspace=shop") as world:
        host.furnish(Identity(issuer=issuer.url, subject="carol").principal, "shop")
        await world.write({"convex/notes.ts": f"export const note: '{HOSTILE}' = 1;"})
        assert "rejected" == (await world.call("push")).structured_content["outcome"]
        await carol.shows("The code has mistakes.")
        assert "Convex · shop" == await carol.evaluate("document.title")
        await carol.shows(HOSTILE)
        await world.content("connect")

    for tab in (carol, elsewhere):
        await tab.shows("waiting for you")
    for tab in (elsewhere, dave):
        assert "Nothing was pushed yet." in await tab.text()
    assert "Not connected." in await dave.text()
    assert await is_inert(carol)


async def test_keys_a_narrow_window_and_a_screen_reader_are_enough(host, issuer, tab):
    await panel_of(host, issuer, tab, "erin")
    await tab.shows("The code asks for none.")
    found = await tab.accessible()
    assert {"Connection", "Deployment", "Dev server", "Pushes", "Environment variables"} <= {
        name for role, name in found if role == "region"
    }
    assert {("button", "Connect to Convex"), ("button", "Start the dev server")} <= set(found)
    assert "status" in {role for role, _ in found}

    reached = []
    for _ in range(3):
        await tab.press("Tab")
        reached.append(await tab.evaluate(FOCUSED))
    assert ["Connect to Convex", "Start", "Look again"] == reached
    await tab.press("Enter")
    await tab.holds("document.querySelector('[data-key=env-vars][aria-disabled]') === null")
    assert "Look again" == await tab.evaluate(FOCUSED)

    await tab.look(width=320)
    assert not await tab.evaluate(IS_WIDER)


async def test_who_is_signed_out_sees_nothing_any_more_and_signs_in_again(host, issuer, tab):
    await panel_of(host, issuer, tab, "gina")
    await tab.holds(IS_LIVE)
    await tab.send("Network.clearBrowserCookies")
    async with host.client(issuer.token("gina")) as world:
        await world.content("connect")
    await tab.shows("You are signed out.")
    assert await tab.evaluate("document.querySelector('section') === null")

    await tab.click("Sign in again")
    await tab.shows("waiting for you")


async def test_nobody_calls_through_the_panel_but_its_own_page(host, issuer):
    own = {"Origin": host.origin}
    async with httpx2.AsyncClient(headers=HEADERS, follow_redirects=True) as browser:
        url = f"{host.origin}/panel/mcp"
        assert 401 == (await browser.post(url, json=DISCOVER, headers=own)).status_code
        issuer.person = "frank"
        assert 200 == (await browser.get(f"{host.origin}/panel")).status_code

        assert 200 == (await browser.post(url, json=DISCOVER, headers=own)).status_code
        assert 403 == (await browser.post(url, json=DISCOVER)).status_code
        assert 403 == (await browser.post(url, json=DISCOVER, headers={"Origin": "https://evil.test"})).status_code
        assert 400 == (await browser.post(f"{url}?toolsets=files", json=DISCOVER, headers=own)).status_code
        assert 400 == (await browser.get(f"{host.origin}/panel?toolsets=nothing")).status_code
        assert 405 == (await browser.get(url, headers=own)).status_code

        named = {**own, "Mcp-Method": "tools/call", "Mcp-Name": "list_files"}
        refused = (await browser.post(url, json=CALL, headers=named)).json()["result"]
        assert "unknown_tool" == refused["structuredContent"]["error"]["code"]


async def test_a_server_that_is_open_to_this_machine_needs_no_signing_in_and_is_followed_over_a_restart(tmp_path, tab):
    settings = hosted_settings(tmp_path, listen_port=str(free_port()))
    async with hosted(settings) as running:
        await tab.open(f"{running.origin}/panel")
        await tab.shows("Nothing was pushed yet.")
        await tab.push("Connect to Convex")
        await tab.shows("This server has no pages")
    await tab.shows("The server does not answer.")

    async with hosted(settings):
        await tab.push("Try now")
        await tab.holds(IS_LIVE)
        assert not await tab.evaluate("document.body.innerText.includes('does not answer')")


async def test_a_server_that_cannot_know_its_person_shows_no_panel(tmp_path):
    file, tokens = tokens_file(tmp_path, "alice")
    async with hosted(hosted_settings(tmp_path, tokens_file=str(file)), tokens) as running, running.http(None) as http:
        assert 404 == (await http.get(f"{running.origin}/panel")).status_code
