"""Env vars through the protocol: names come out, secrets go in on a page, and no value is ever repeated."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from mcp import Client
from mcp.types import ElicitResult

from tests.doubles.office import Browser
from tests.world import World, make_settings

pytestmark = pytest.mark.anyio

CANARY = "sk-canary-Zq8vN3xT0pLw7RbY"
AUTH_CONFIG = """\
export default { providers: [{ domain: process.env.CONVEX_SITE_URL, applicationID: "convex" }] };
"""
ENV_CONFIG = """\
import { defineApp } from "convex/server";
import { v } from "convex/values";

export default defineApp({ env: { GREETING: v.string(), VERBOSE: v.optional(v.string()) } });
"""


@asynccontextmanager
async def server(folder, era, **client) -> AsyncIterator[World]:
    settings = make_settings(folder, armed_pushes=False)
    async with Client(World.server(settings), mode=era, **client) as connected:
        yield World(client=connected, settings=settings, era=era)


async def env_vars(world) -> dict[str, dict]:
    return {each["name"]: each for each in (await world.content("list_env_vars"))["env_vars"]}


def is_set(found) -> set[str]:
    return {name for name, each in found.items() if each["is_set"] and not each["managed"]}


async def value_of(world, name):
    return (await world.content("run_query", source=f"return process.env.{name} ?? null;"))["value"]


@pytest.fixture
async def blank(world):
    """The shared server, its app live, with no env var set and nothing of them in the workspace."""
    await world.hold({})
    if not (await world.content("list_functions"))["functions"]:
        await world.content("push")
    if left := is_set(await env_vars(world)):
        await world.content("unset_env_vars", names=sorted(left))
    return world


async def test_what_is_set_is_listed_by_name_and_seen_by_functions(blank):
    changed = await blank.content("set_env_vars", values={"GREETING": "Grüße 😀", "LEVEL": "3"})

    assert ["GREETING", "LEVEL"] == changed["set"]
    found = await env_vars(blank)
    assert {"GREETING", "LEVEL"} == is_set(found)
    assert found["CONVEX_SITE_URL"]["managed"]
    assert "Grüße" not in (await blank.call("list_env_vars")).model_dump_json()
    assert "Grüße 😀" == await value_of(blank, "GREETING")


async def test_what_the_code_needs_and_lacks_is_named(blank):
    await blank.hold({"convex/convex.config.ts": ENV_CONFIG, "convex/auth.config.ts": AUTH_CONFIG})

    listed = await blank.content("list_env_vars")

    found = {each["name"]: each for each in listed["env_vars"]}
    assert (False, "convex/convex.config.ts", False) == tuple(
        found["GREETING"][key] for key in ("is_set", "needed_by", "optional")
    )
    assert found["VERBOSE"]["optional"]
    assert "convex/auth.config.ts" == found["CONVEX_SITE_URL"]["needed_by"]
    assert listed["next_step"].startswith("Missing: GREETING.")


@pytest.mark.parametrize("world", ["legacy"], indirect=True)  # three pushes, in which the era has no part
async def test_a_push_that_lacks_an_env_var_goes_through_once_it_is_set(blank):
    await blank.hold({"convex/convex.config.ts": ENV_CONFIG})

    lacking = (await blank.call("push")).structured_content
    await blank.content("set_env_vars", values={"GREETING": "hello"})
    pushed = await blank.content("push")

    assert ("rejected", "env_missing") == (lacking["outcome"], lacking["failure"])
    assert "pushed" == pushed["outcome"]
    assert "invalid_arguments" == await blank.code("unset_env_vars", names=["GREETING"])
    await blank.hold({})
    await blank.content("push")


async def test_unsetting_leaves_the_others_and_minds_no_name_that_is_not_set(blank):
    await blank.content("set_env_vars", values={"A": "1", "B": "2"})

    changed = await blank.content("unset_env_vars", names=["A", "NEVER_SET"])

    assert ["A"] == changed["unset"]
    assert "Nothing was changed." in (await blank.call("unset_env_vars", names=["A"])).content[0].text
    assert {"B"} == is_set(await env_vars(blank))


@pytest.mark.parametrize(
    "values",
    [
        {"OPENAI_API_KEY": CANARY},
        {"GREETING": "hello", "INNOCENT": CANARY},
        {"DATABASE": f"postgres://app:{CANARY}@db.example/app"},
        {CANARY: "x"},
        {CANARY.replace("-", "_"): "x"},
        {"TOO_LONG": CANARY + "x" * 9000},
        {"CONVEX_SITE_URL": f"https://{CANARY}.example"},
        {"NOT_TEXT": {"deep": CANARY}},
    ],
    ids=lambda values: next(iter(values))[:20],
)
async def test_what_may_not_be_set_sets_nothing_and_is_not_repeated(blank, values):
    result = await blank.call("set_env_vars", values=values)

    assert result.is_error
    said = result.model_dump_json()
    assert "canary" not in said
    assert set() == is_set(await env_vars(blank))


async def test_a_secret_is_sent_to_the_page(blank):
    result = await blank.call("set_env_vars", values={"OPENAI_API_KEY": "x", "GREETING": "hello"})

    assert "request_env_var" in result.structured_content["error"]["next_step"]


async def test_the_person_types_a_secret_on_a_page_and_the_agent_never_sees_it(blank):
    asked = await blank.content("request_env_var", name="OPENAI_API_KEY", why="To answer questions. <b>See</b> x.y")
    assert (True, False) == (asked["waiting"], asked["is_set"])
    origin = f"http://localhost:{blank.settings.pages_port}"

    async with Browser(origin) as browser:
        page = await browser.get(asked["link"])
        typed = await browser.submit(asked["link"], way="value", value=CANARY)
        again = await browser.get(asked["link"])

    assert "&lt;b&gt;See&lt;/b&gt;" in page.text
    assert 303 == typed.status_code
    assert 404 == again.status_code
    assert {"OPENAI_API_KEY"} == is_set(await env_vars(blank))
    assert CANARY == await value_of(blank, "OPENAI_API_KEY")


@pytest.mark.parametrize("name", ["", "1A", "CONVEX_SITE_URL", CANARY])
async def test_no_page_is_opened_for_a_name_that_convex_would_not_take(blank, name):
    result = await blank.call("request_env_var", name=name, why="why not")

    assert "invalid_arguments" == result.structured_content["error"]["code"]
    assert "canary" not in result.model_dump_json()


async def test_auth_is_set_up_once_and_only_what_is_missing(blank):
    first = await blank.content("set_up_auth", site_url="http://localhost:5173/")
    keys = [await value_of(blank, name) for name in ("JWT_PRIVATE_KEY", "JWKS")]
    second = await blank.content("set_up_auth", site_url="http://localhost:9")

    assert ["JWKS", "JWT_PRIVATE_KEY", "SITE_URL"] == first["set"]
    assert ([], ["JWKS", "JWT_PRIVATE_KEY", "SITE_URL"]) == (second["set"], second["kept"])
    assert "http://localhost:5173" == await value_of(blank, "SITE_URL")
    assert keys == [await value_of(blank, name) for name in ("JWT_PRIVATE_KEY", "JWKS")]


async def test_half_a_pair_of_keys_is_replaced(blank):
    await blank.content("set_up_auth")
    whole = await value_of(blank, "JWKS")
    await blank.content("unset_env_vars", names=["JWT_PRIVATE_KEY"])

    again = await blank.content("set_up_auth")

    assert ["JWKS", "JWT_PRIVATE_KEY"] == again["set"]
    assert whole != await value_of(blank, "JWKS")


@pytest.mark.parametrize(
    "url", ["", "localhost:5173", "ftp://x.example", "http://a:b@x.example", "http://[", "x" * 3000]
)
async def test_a_site_url_that_is_none_is_refused(blank, url):
    assert "invalid_arguments" == await blank.code("set_up_auth", site_url=url)
    assert set() == is_set(await env_vars(blank))


async def test_where_nobody_can_be_asked_no_keys_are_replaced(blank):
    rotated = await blank.content("set_up_auth", rotate=True)
    assert ["JWKS", "JWT_PRIVATE_KEY"] == rotated["set"]
    before = await value_of(blank, "JWKS")

    refused = (await blank.call("set_up_auth", rotate=True)).structured_content["error"]

    assert ("cannot_ask", "after_person") == (refused["code"], refused["retry"])
    assert "mcp-convex set-up-auth --rotate" in refused["next_step"]
    assert before == await value_of(blank, "JWKS")


NO = (
    ElicitResult(action="accept", content={"proceed": False}),
    ElicitResult(action="decline"),
    ElicitResult(action="cancel"),
)
YES = ElicitResult(action="accept", content={"proceed": True})


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_keys_are_replaced_only_if_the_person_says_yes(tmp_path, era):
    asked, answers = [], [*NO, YES]

    async def on_elicit(context, params):
        asked.append(params.message)
        return answers[len(asked) - 1]

    async with server(tmp_path, era, elicitation_callback=on_elicit) as world:
        await world.hold({})
        await world.content("push")
        await world.content("set_up_auth", rotate=True)
        assert not asked
        before = await value_of(world, "JWKS")
        for _ in NO:
            assert "declined" == await world.code("set_up_auth", rotate=True)
            assert before == await value_of(world, "JWKS")
        await world.content("set_up_auth", rotate=True)
        assert before != await value_of(world, "JWKS")

    assert ["Replace the app's sign-in keys? Everybody who is signed in will be signed out."] * len(answers) == asked


async def test_the_person_replaces_the_keys_by_the_command_line(tmp_path):
    settings = make_settings(tmp_path)
    places = ["--workspace", str(settings.workspace), "--data-dir", str(settings.data_dir)]
    command = [sys.executable, "-m", "mcp_convex", "set-up-auth", "--rotate", "--site-url", "https://app.example"]

    first = (await anyio.run_process([*command, *places])).stdout.decode()
    second = (await anyio.run_process([*command, *places])).stdout.decode()

    assert "JWKS, JWT_PRIVATE_KEY, SITE_URL. Kept: nothing." in first
    assert "JWKS, JWT_PRIVATE_KEY. Kept: SITE_URL." in second
    assert "BEGIN" not in first + second


async def test_a_read_only_server_changes_no_env_var(tmp_path):
    settings = make_settings(tmp_path, read_only=True)
    async with Client(World.server(settings)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}

    assert {"list_env_vars"} == names & {
        "list_env_vars",
        "set_env_vars",
        "request_env_var",
        "unset_env_vars",
        "set_up_auth",
    }
