"""The panel as a page of a hosted server, in a real browser whose person signs in with the issuer."""

from __future__ import annotations

import httpx2
import pytest

from mcp_convex.domain.identity import Identity
from tests.doubles.cloud import fake_cloud
from tests.doubles.hosting import DISCOVER, HEADERS, hosted, hosted_settings, hosted_with_pages, tokens_file
from tests.world import APP

pytestmark = pytest.mark.anyio

_CHOOSE_SHOP = """{
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
async def host(tmp_path_factory, issuer, anyio_backend):
    async with fake_cloud() as cloud, hosted_with_pages(tmp_path_factory.mktemp("panel"), issuer, cloud) as running:
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


async def test_a_person_signs_in_connects_and_links_a_project_from_the_panel(host, issuer, tab):
    await panel_of(host, issuer, tab, "alice")
    await follow(tab, "Connect to Convex")
    await tab.click("Continue to Convex")
    await tab.choose("acme")
    await tab.click("Authorize")

    await panel_of(host, issuer, tab, "alice")
    await tab.shows("connected")
    await tab.push("Choose another")
    await tab.holds("document.querySelector('#project:enabled')")
    await tab.evaluate(_CHOOSE_SHOP)
    await tab.push("Use it")
    await tab.shows("This workspace now works with that deployment.")
    await tab.shows("Open in Convex's dashboard")
    assert await tab.evaluate("document.querySelector('section a').href.startsWith('http')")

    await tab.push("Disconnect acme")
    await tab.push("Disconnect acme for good")
    await tab.shows("Nothing is connected.")
    async with host.client(issuer.token("alice")) as world:
        left = await world.content("get_connection")
    assert ([], None) == (left["connections"], left["target"])
    assert [] == tab.complaints


async def test_each_person_sees_their_own_workspaces_only(host, issuer, browser):
    async with host.client(issuer.token("carol"), query="?workspace=shop") as world:
        host.furnish(Identity(issuer=issuer.url, subject="carol").principal, "shop")
        await world.write(APP)
        assert "pushed" == (await world.content("push"))["outcome"]

    carol, dave = await browser.tab(), await browser.tab()
    await panel_of(host, issuer, carol, "carol", "?workspace=shop")
    await carol.shows("live")
    await panel_of(host, issuer, carol, "carol")
    await carol.shows("Nothing was pushed yet.")
    await panel_of(host, issuer, dave, "dave", "?workspace=shop")
    await dave.shows("Nothing was pushed yet.")


async def test_a_screen_reader_finds_every_section_button_and_what_came_of_it(host, issuer, tab):
    await panel_of(host, issuer, tab, "erin")
    await tab.shows("None.")

    found = await tab.accessible()

    assert {"Connection", "Deployment", "Dev server", "Pushes", "Environment variables"} <= {
        name for role, name in found if role == "region"
    }
    assert {("button", "Connect to Convex"), ("button", "Start the dev server")} <= set(found)
    assert "status" in {role for role, _ in found}


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


async def test_a_server_that_is_open_to_this_machine_shows_its_panel_without_signing_in(tmp_path, tab):
    async with hosted(hosted_settings(tmp_path)) as running:
        await tab.open(f"{running.origin}/panel")
        await tab.shows("Nothing was pushed yet.")
        await tab.push("Connect to Convex")
        await tab.shows("This server has no pages")


async def test_a_server_that_cannot_know_its_person_shows_no_panel(tmp_path):
    file, tokens = tokens_file(tmp_path, "alice")
    async with hosted(hosted_settings(tmp_path, tokens_file=str(file)), tokens) as running, running.http(None) as http:
        assert 404 == (await http.get(f"{running.origin}/panel")).status_code
