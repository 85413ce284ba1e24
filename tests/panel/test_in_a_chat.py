"""The panel within a chat, as MCP Apps have it, in a real browser with the official bridge."""

from __future__ import annotations

import pytest
from mcp import Client

from tests.doubles.app_host import app_host
from tests.doubles.browser import Tab
from tests.world import APP, World, make_settings

pytestmark = pytest.mark.anyio

PANEL = "ui://convex/panel"


@pytest.fixture(scope="module")
async def world(tmp_path_factory, anyio_backend):
    settings = make_settings(tmp_path_factory.mktemp("panel"))
    async with Client(World.server(settings)) as client:
        yield World(client=client, settings=settings, era="auto")


@pytest.fixture
async def chat(world: World, tab: Tab):
    """A chat whose app has begun; the tab shows the chat, the second is within the app's frame."""
    async with app_host(world.client, PANEL) as url:
        await tab.open(url)
        await tab.holds("document.body.dataset.app")
        yield tab, await tab.frame()


async def test_what_a_chat_shows_is_named_by_the_tool_and_listed_as_an_app(world):
    tools = {tool.name: tool for tool in (await world.client.list_tools()).tools}
    listed = {str(one.uri): one for one in (await world.client.list_resources()).resources}

    assert {"ui": {"resourceUri": PANEL}} == tools["get_connection"].meta == tools["dev_server"].meta
    assert "text/html;profile=mcp-app" == listed[PANEL].mime_type


async def test_a_person_turns_the_dev_server_on_within_the_chat_and_sees_what_went_live(world, chat):
    _, app = chat
    await app.shows("Nothing was pushed yet.")
    await world.write(APP)

    await app.push("Start the dev server")
    await app.shows("Each change goes live by itself.")
    await app.shows("pushed")
    await world.write({"convex/notes.ts": "export const broken = ;"})
    await app.shows("rejected")
    await app.push("Stop the dev server")
    await app.shows("Changes go live when your assistant pushes them.")

    status = await world.call("dev_server", action="status")
    assert not status.structured_content["on"]
    assert "rejected" in status.content[0].text  # whoever sees no panel is told the same in words


async def test_what_the_chat_forwards_of_the_server_is_seen_at_once(world, chat):
    tab, app = chat
    await app.holds("document.querySelector('#connection')")
    await world.content("connect")
    await tab.evaluate("window.tell('convex://connections')")
    await app.shows("waiting for you")
    await app.push("Give up Your Convex account")
    await app.push("Disconnect Your Convex account for good")
    await app.shows("Not connected.")


async def test_a_page_for_the_person_is_opened_by_the_chat_and_not_by_the_app(chat):
    tab, app = chat
    await app.push("Connect to Convex")
    await app.shows("Go on in the page that has opened.")

    link = await tab.evaluate("document.body.dataset.opened")
    assert link.startswith("http://localhost:")
    assert "/convex/pages/" in link


async def test_the_app_dresses_as_the_chat_does_and_ends_when_it_is_told_to(chat):
    tab, app = chat
    assert "dark" == await app.evaluate("getComputedStyle(document.documentElement).colorScheme")

    await tab.evaluate("window.dress('light')")
    await app.holds("document.documentElement.dataset.theme === 'light'")
    shown = "document.querySelector('main').getBoundingClientRect().height"
    height = await app.evaluate(f"Math.ceil({shown})")
    await tab.holds(f"document.querySelector('iframe').style.height === '{height}px'")

    assert {} == await tab.evaluate("window.end()")
    assert [] == tab.complaints + app.complaints
