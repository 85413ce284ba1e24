"""The pages in a real browser: what a person sees and does, and what the browser refuses on their behalf."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.anyio

TOKEN = "team:acme|eyJ2MiI6IkNBTkFSWS10eXBlZC10b2tlbiJ9"


async def linked(desk, tab):
    """Link the workspace to a deployment of the cloud, as a person does who has a key of it, and return it."""
    deployment = await desk.cloud.add_deployment(next(iter(desk.cloud.projects.values())))
    deployment.keys["ours"] = key = f"dev:{deployment.name}|c4n4ryc4n4ry"
    await tab.open(await desk.link())
    await tab.fill("Deploy key or admin key", key)
    await tab.click("Use this deployment")
    return deployment


async def test_a_person_connects_a_team(desk, tab):
    await tab.open(await desk.link())
    assert "Connect your Convex account?" == await tab.title()
    said = await tab.text()
    assert "one team of yours" in said
    assert desk.cloud.url.removeprefix("http://") in said

    await tab.click("Continue to Convex")
    assert "Authorize application" == await tab.title()
    await tab.click("Authorize")

    assert "Connected to Convex" == await tab.title()
    connection = await desk.connection()
    assert ("connected", "team", "acme") == (connection["state"], connection["scope"], connection["team"]["slug"])
    assert [] == tab.complaints


async def test_a_person_connects_one_project(desk, tab):
    await tab.open(await desk.link("project"))
    await tab.click("Continue to Convex")
    await tab.click("Authorize")

    connection = await desk.connection()
    assert ("connected", "project") == (connection["state"], connection["scope"])
    assert ("acme", "shop") == (connection["team"]["slug"], connection["project"]["slug"])


async def test_a_person_refuses(desk, tab):
    await tab.open(await desk.link())
    await tab.click("Do not connect")

    assert "Not connected" == await tab.title()
    connection = await desk.connection()
    assert ("failed", "The person declined.", True) == tuple(
        connection[key] for key in ("state", "reason", "retryable")
    )
    assert [] == desk.cloud.seen


async def test_a_page_is_gone_once_its_time_is_over(desk, tab):
    link = await desk.link()
    await tab.open(link)
    desk.let_time_pass()

    await tab.click("Continue to Convex")

    assert "This page is gone" == await tab.title()
    assert "connecting" == (await desk.connection())["state"]


async def test_coming_back_from_convex_too_late_changes_nothing(desk, tab):
    await tab.open(await desk.link())
    await tab.click("Continue to Convex")
    desk.let_time_pass()

    await tab.click("Authorize")

    assert "This page is gone" == await tab.title()
    assert [] == desk.cloud.asked("token")


async def test_the_way_back_works_once(desk, tab):
    await tab.open(await desk.link())
    await tab.click("Continue to Convex")
    await tab.click("Authorize")
    callback = next(answer["url"] for answer in reversed(tab.requests) if "/callback?" in answer["url"])

    await tab.open(callback)

    assert "This page is gone" == await tab.title()
    assert "connected" == (await desk.connection())["state"]
    assert 1 == len(desk.cloud.asked("token"))


async def test_another_browser_cannot_finish_what_the_first_began(desk, tab, browser):
    """Whoever is sent somebody else's authorize page would otherwise connect their account for that person."""
    await tab.open(await desk.link())
    await tab.click("Continue to Convex")
    authorize = await tab.url()

    other = await browser.tab()
    await other.open(authorize)
    await other.click("Authorize")

    assert "Not connected" == await other.title()
    assert "another browser" in (await desk.connection())["reason"]
    assert [] == desk.cloud.asked("token")


async def test_a_page_that_one_browser_used_is_gone_in_another(desk, tab, browser):
    link = await desk.link()
    other = await browser.tab()
    await other.open(link)
    await tab.open(link)
    await tab.click("Continue to Convex")

    await other.click("Continue to Convex")

    assert "This page is gone" == await other.title()


async def test_a_typed_token_connects_and_is_in_no_address(plain_desk, tab):
    grant = plain_desk.cloud.grant("team_token", plain_desk.cloud.teams[0])
    await tab.open(await plain_desk.link())
    await tab.fill("Access token", grant.token)
    await tab.click("Connect with the token")

    assert "Connected to Convex" == await tab.title()
    connection = await plain_desk.connection()
    assert ("connected", "team_token") == (connection["state"], connection["grant"])
    seen = [*await tab.history(), *(request["url"] for request in tab.requests)]
    assert not [url for url in seen if grant.secret in url]
    await tab.send(
        "Page.navigateToHistoryEntry", entryId=(await tab.send("Page.getNavigationHistory"))["entries"][1]["id"]
    )
    assert grant.token not in await tab.evaluate("document.documentElement.outerHTML")


async def test_a_mistyped_token_can_be_typed_again(plain_desk, tab):
    await tab.open(await plain_desk.link())
    await tab.fill("Access token", TOKEN)
    await tab.click("Connect with the token")

    assert "That did not work" == await tab.title()
    assert TOKEN not in await tab.text()
    assert "connecting" == (await plain_desk.connection())["state"]

    await tab.click("Try again")
    await tab.fill("Access token", plain_desk.cloud.grant("team_token", plain_desk.cloud.teams[0]).token)
    await tab.click("Connect with the token")
    assert "connected" == (await plain_desk.connection())["state"]


async def test_a_typed_deploy_key_links_the_workspace_and_connects_no_account(plain_desk, tab):
    deployment = await linked(plain_desk, tab)

    assert "Done" == await tab.title()
    seen = await plain_desk.call("get_connection")
    assert ([], deployment.url) == (seen["connections"], seen["target"]["url"])


async def test_a_key_that_does_not_say_what_it_opens_needs_the_url(plain_desk, tab):
    deployment = await plain_desk.cloud.add_deployment(next(iter(plain_desk.cloud.projects.values())))
    deployment.keys["ours"] = key = "self-hosted|c4n4ryc4n4ry"
    await tab.open(await plain_desk.link())
    await tab.fill("Deploy key or admin key", key)
    await tab.click("Use this deployment")
    assert "which deployment it opens" in await tab.text()

    await tab.click("Try again")
    await tab.fill("Deploy key or admin key", key)
    await tab.fill("Deployment URL", deployment.url)
    await tab.click("Use this deployment")

    assert deployment.url == (await plain_desk.call("get_connection"))["target"]["url"]


async def test_a_secret_that_a_person_types_reaches_the_deployment_and_nobody_else(plain_desk, tab):
    deployment = await linked(plain_desk, tab)
    asked = await plain_desk.call("request_env_var", name="STRIPE_KEY", why="To take <b>payments</b>.")
    await tab.open(asked["link"])
    assert "Set STRIPE_KEY" == await tab.title()
    assert "To take <b>payments</b>." in await tab.text()
    assert deployment.url.removeprefix("http://") in await tab.text()

    await tab.fill("Value", "sk_c4n4ry")
    await tab.click("Save")

    assert "Done" == await tab.title(), await tab.text()
    assert "sk_c4n4ry" == deployment.env_vars["STRIPE_KEY"]
    assert not [url for url in await tab.history() if "c4n4ry" in url]
    assert "c4n4ry" not in await tab.evaluate("document.documentElement.outerHTML")
    assert "c4n4ry" not in str([await plain_desk.call("list_env_vars"), await plain_desk.call("get_connection")])


async def test_who_does_not_want_to_type_a_secret_says_so(plain_desk, tab):
    deployment = await linked(plain_desk, tab)
    asked = await plain_desk.call("request_env_var", name="STRIPE_KEY", why="To take payments.")
    await tab.open(asked["link"])

    await tab.click("Do not set it")

    assert "nothing was set" in await tab.text()
    assert {} == deployment.env_vars
    await tab.open(asked["link"])
    assert "This page is gone" == await tab.title()


async def test_a_private_key_keeps_its_lines_and_is_not_legible_on_the_screen(plain_desk, tab):
    deployment = await linked(plain_desk, tab)
    asked = await plain_desk.call("request_env_var", name="SIGNING_PEM", why="To sign.")
    await tab.open(asked["link"])
    pem = "-----BEGIN PRIVATE KEY-----\nc4n4ry\n+/=\n-----END PRIVATE KEY-----\n"
    await tab.fill("Value", pem)
    assert "disc" == await tab.evaluate("getComputedStyle(document.querySelector('textarea')).webkitTextSecurity")

    await tab.click("Save")

    assert "Done" == await tab.title(), await tab.text()
    assert pem == deployment.env_vars["SIGNING_PEM"]


async def test_of_several_teams_of_the_cli_login_the_person_chooses_one(home, plain_desk, tab):
    plain_desk.cloud.add_team("globex", "Globex <b>Corp</b>")
    plain_desk.log_in(home)
    await tab.open(await plain_desk.link())
    await tab.click("Use this login")
    assert "Which team?" == await tab.title()
    found = await tab.accessible()
    assert {"Acme Inc. (acme)", "Globex <b>Corp</b> (globex)"} == {name for role, name in found if role == "radio"}

    await tab.pick("Globex <b>Corp</b> (globex)")
    await tab.click("Connect this team")

    assert "Connected to Convex" == await tab.title()
    connection = await plain_desk.connection()
    assert ("cli_login", "globex") == (connection["grant"], connection["team"]["slug"])


async def test_the_keyboard_alone_is_enough(desk, tab):
    await tab.open(await desk.link())
    await tab.press("Tab")
    assert "Continue to Convex" == await tab.evaluate("document.activeElement.innerText")
    assert "solid" == await tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    await tab.press("Enter", leads_on=True)

    assert "Authorize application" == await tab.title()


async def test_a_screen_reader_finds_a_heading_and_a_name_for_every_control(plain_desk, tab):
    await tab.open(await plain_desk.link())

    found = await tab.accessible()

    assert ("heading", "Connect your Convex account?") in found
    assert {"Access token", "Deployment URL", "Deploy key or admin key"} == {
        name for role, name in found if role == "textbox"
    }
    assert all(name for role, name in found if role in {"button", "textbox", "link"})
    assert "en" == await tab.evaluate("document.documentElement.lang")


async def test_nothing_is_fetched_from_elsewhere(plain_desk, tab):
    await tab.open(await plain_desk.link())

    assert {plain_desk.origin} == {"/".join(request["url"].split("/")[:3]) for request in tab.requests}


async def test_no_other_page_can_frame_or_script_ours(desk, tab):
    link = await desk.link()
    await tab.open(link)
    framed = f"data:text/html,<h1>trap</h1><iframe src='{link}'></iframe>"
    await tab.open(framed)
    blocked = [answer for answer in tab.complaints if "frame-ancestors" in answer]
    assert blocked or await tab.evaluate("frames[0].length === 0")

    await tab.open(link)
    script = "Object.assign(document.createElement('script'), {textContent: 'document.title = 1'})"
    await tab.evaluate(f"document.body.append({script})")
    assert "1" != await tab.evaluate("document.title")


async def secret_page(desk, tab):
    await linked(desk, tab)
    asked = await desk.call("request_env_var", name="STRIPE_KEY", why="To take payments in the shop.")
    await tab.open(asked["link"])


async def team_page(desk, tab):
    desk.cloud.add_team("globex", "Globex Corporation")
    await tab.open(await desk.link())
    await tab.click("Use this login")


async def opened(desk, tab, *clicks):
    await tab.open(await desk.link())
    for text in clicks:
        await tab.click(text)


PAGES = {
    "connect": lambda desk, plain, tab: opened(desk, tab),
    "ways": lambda desk, plain, tab: opened(plain, tab),
    "team": lambda desk, plain, tab: team_page(plain, tab),
    "secret": lambda desk, plain, tab: secret_page(plain, tab),
    "connected": lambda desk, plain, tab: opened(desk, tab, "Continue to Convex", "Authorize"),
    "refused": lambda desk, plain, tab: opened(desk, tab, "Do not connect"),
    "gone": lambda desk, plain, tab: tab.open(f"{desk.origin}/convex/pages/none"),
}


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_is_legible_and_as_narrow_as_its_window(home, desk, plain_desk, tab, page):
    """
    WCAG 2.2, 1.4.3: a contrast of 4.5 at least; 1.4.10: no scrolling in two directions at 320 pixels.

    With PICTURES set to a folder, the pages are photographed there: light, dark and narrow.
    """
    plain_desk.log_in(home)
    await desk.link()  # so that its pages are served
    await PAGES[page](desk, plain_desk, tab)
    for name, look in {"light": {}, "dark": {"dark": True}, "narrow": {"width": 320, "height": 1200}}.items():
        picture = await tab.look(**look)
        assert 4.5 <= await tab.evaluate(LEAST_CONTRAST), name
        assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        if folder := os.environ.get("PICTURES"):
            Path(folder, f"{page}-{name}.png").write_bytes(picture)


LEAST_CONTRAST = """(() => {
  const light = (css) => {
    const parts = css.match(/[\\d.]+/g).map(Number).slice(0, 3).map((one) => one / 255)
      .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const ground = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return /, 0\\)$/.test(color) ? ground(element.parentElement) : color;
  };
  const contrast = (element) => {
    const [a, b] = [light(getComputedStyle(element).color), light(ground(element))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  return Math.min(...[...document.querySelectorAll("main, main *")].map(contrast));
})()"""
