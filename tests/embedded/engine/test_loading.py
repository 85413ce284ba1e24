"""What a push is found to hold, and how one that cannot be loaded is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.engine_client import EngineClient, EngineRefused, running_engine
from tests.doubles.projects import MakeProject, bundle, write_push
from tests.embedded.engine.conftest import ENV, URLS

pytestmark = pytest.mark.anyio
SERVER = 'import { query, mutation } from "./_generated/server";\n'
SCHEMA = 'import { defineSchema, defineTable } from "convex/server";\nimport { v } from "convex/values";\n'


@pytest.fixture
async def loaded(deployment: Path) -> AsyncIterator[dict[str, Any]]:
    """The analysis of the app."""
    async with running_engine(deployment) as engine:
        yield await engine.request("load", root="code/one", env={"GREETING": "x"}, urls=URLS)


def functions(loaded: dict[str, Any], path: str) -> dict[str, Any]:
    return {function["name"]: function for function in loaded["analysis"][""]["functions"][path]["functions"]}


async def test_functions_are_found_with_kind_visibility_and_validators(loaded: dict[str, Any]) -> None:
    found = functions(loaded, "notes.js")

    assert ("Mutation", {"kind": "public"}) == (found["add"]["udfType"], found["add"]["visibility"])
    assert ("Query", {"kind": "internal"}) == (found["count"]["udfType"], found["count"]["visibility"])
    assert {"type": "id", "tableName": "notes"} == json.loads(found["add"]["returns"])
    assert {"body", "rank", "author"} == set(json.loads(found["add"]["args"])["value"])
    assert "Action" == functions(loaded, "hashing.js")["sha256"]["udfType"]


async def test_routes_crons_and_schema_are_found(loaded: dict[str, Any]) -> None:
    app = loaded["analysis"][""]

    routes = [route["route"] for route in app["functions"]["http.js"]["httpRoutes"]]
    assert {"path": "/echo/*", "method": "GET"} in routes
    assert ["every hour from now", "each morning", "new year"] == [
        name for name, _ in app["functions"]["crons.js"]["cronSpecs"]
    ]
    [notes] = [table for table in app["schema"]["tables"] if table["tableName"] == "notes"]
    assert {"indexDescriptor": "by_rank", "fields": ["rank"]} in notes["indexes"]
    assert [{"applicationID": "convex", "domain": URLS["site"]}] == loaded["appAuth"]


async def test_components_are_mounted_with_their_exports(loaded: dict[str, Any]) -> None:
    assert {"": "", "likes": "counter", "views": "counter"} == loaded["components"]
    assert {"likes", "views"} == set(loaded["app"]["childComponents"])
    [[module, branch]] = loaded["analysis"]["counter"]["definition"]["exports"]["branch"]
    assert ("counts", ["add", "_reference/function/counts.js:add"]) == (
        module,
        [branch["branch"][0][0], branch["branch"][0][1]["leaf"]],
    )


async def test_required_env_vars_that_are_not_set_are_named(loaded: dict[str, Any]) -> None:
    assert ["API_KEY"] == loaded["missingEnv"]


async def refusal(make: MakeProject, folder: Path, sources: Mapping[str, str]) -> EngineRefused:
    write_push(bundle(make({f"convex/{name}": text for name, text in sources.items()})), folder / "code" / "one")
    async with running_engine(folder) as engine:
        with pytest.raises(EngineRefused) as refused:
            await engine.request("load", root="code/one", env=ENV, urls=URLS)
    return refused.value


@pytest.mark.parametrize(
    ("sources", "code", "message"),
    [
        (
            {"bad.ts": 'throw new Error("boom at import");\nexport {};'},
            "InvalidModules",
            (
                "Hit an error while pushing:\nLoading the pushed modules encountered the following\n    error:\n"
                "Failed to analyze bad.js: Uncaught Error: boom at import"
            ),
        ),
        (
            {"http.ts": "export default 7;"},
            "InvalidModules",
            "The default export of `http.js` is not a Router.",
        ),
        (
            {
                "crons.ts": 'import { cronJobs } from "convex/server";\nconst crons = cronJobs();\n'
                'crons.interval("lost", { hours: 1 }, "gone:away" as never);\nexport default crons;'
            },
            "InvalidModules",
            "The cron job 'lost' schedules a function that does not exist: gone:away",
        ),
        (
            {"schema.ts": SCHEMA + 'export default defineSchema({ a: defineTable({}).index("by_b", ["b"]) });'},
            "InvalidSchema",
            'In table "a" the index "by_b" is invalid because it references the field "b" that does not exist.',
        ),
        (
            {"schema.ts": 'throw new Error("no schema");\nexport default {};'},
            "InvalidSchema",
            "Hit an error while evaluating your schema:\nUncaught Error: no schema",
        ),
        (
            {"auth.config.ts": "export default { providers: [{ domain: process.env.ISSUER, applicationID: 'x' }] };"},
            "AuthConfigMissingEnvironmentVariable",
            "Environment variable ISSUER is used in auth config file but its value was not set.",
        ),
        (
            {"timers.ts": SERVER + "await new Promise((r) => setTimeout(r, 1));\nexport const q = query(() => 1);"},
            "InvalidModules",
            "Can't use setTimeout at import time.",
        ),
        (
            {"where.ts": SERVER + "export const here = __dirname;"},
            "InvalidModules",
            "ReferenceError: __dirname is not defined\n    at ",
        ),
    ],
    ids=["throws", "no router", "lost cron", "lost index", "schema throws", "auth env", "timer", "no Node"],
)
async def test_a_push_that_cannot_be_loaded_is_refused(
    convex_project: MakeProject, tmp_path: Path, sources: Mapping[str, str], code: str, message: str
) -> None:
    refused = await refusal(convex_project, tmp_path, sources)

    assert code == refused.code
    assert message in refused.message


ISSUER = {
    "convex/auth.config.ts": "export default { providers: [{ domain: process.env.ISSUER, applicationID: 'x' }] };",
    "convex/lib.ts": "export const issuer = process.env.ISSUER; if (issuer === 'nowhere') throw new Error('no');",
    "convex/q.ts": SERVER + "import { issuer } from './lib'; export const read = query(async () => issuer);",
    "convex/r.ts": SERVER + "import { issuer } from './lib'; export const read = query(async () => issuer);",
}


@pytest.fixture
async def with_issuer(convex_project: MakeProject, tmp_path: Path) -> AsyncIterator[EngineClient]:
    """A live engine whose code reads an env var outside of its functions; `code/two` is a copy of it."""
    request = bundle(convex_project(ISSUER))
    for root in ("one", "two"):
        write_push(request, tmp_path / "code" / root)
    async with running_engine(tmp_path) as engine:
        await engine.request("load", root="code/one", env={"ISSUER": "https://a"}, urls=URLS)
        await engine.request("open")
        yield engine


async def test_what_is_read_outside_a_function_is_read_anew_when_env_vars_change(with_issuer: EngineClient) -> None:
    changed = await with_issuer.request("env", env={"ISSUER": "https://b"}, root="code/two")

    assert ["https://b"] == [provider["domain"] for provider in changed["appAuth"]]
    assert ["https://b"] * 2 == [await with_issuer.run("q:read"), await with_issuer.run("r:read")]


@pytest.mark.parametrize(
    ("env", "code"), [({}, "AuthConfigMissingEnvironmentVariable"), ({"ISSUER": "nowhere"}, "InvalidModules")]
)
async def test_an_env_change_with_which_the_code_does_not_load_changes_nothing(
    with_issuer: EngineClient, env: dict[str, str], code: str
) -> None:
    with pytest.raises(EngineRefused, match=code):
        await with_issuer.request("env", env=env, root="code/two")

    assert "https://a" == await with_issuer.run("q:read")


async def test_an_engine_without_a_push_serves_the_data(tmp_path: Path) -> None:
    async with running_engine(tmp_path) as engine:
        await engine.request("open")
        await engine.request("system", name="insert", args={"table": "anything", "documents": [{"a": 1}]})

        assert [1] == [document["a"] for document in await engine.documents("anything")]
        error = await engine.failure("messages:list")
        assert "Could not find function for 'messages:list'" in error


async def test_an_engine_without_a_push_shows_env_vars_to_one_off_queries(tmp_path: Path) -> None:
    source = """
    import { query } from "convex:/_system/repl/wrappers.js";
    const outside = process.env.GREETING;
    export default query(async () => [outside, process.env.GREETING, process.env.CONVEX_SITE_URL]);
    """
    async with running_engine(tmp_path) as engine:
        await engine.request("load", root=None, env={"GREETING": "hello"}, urls=URLS)
        await engine.request("open")
        before = (await engine.request("runSource", source=source))["value"]
        await engine.request("env", env={"GREETING": "bye"}, root=None)
        after = (await engine.request("runSource", source=source))["value"]

    assert [["hello", "hello", URLS["site"]], ["bye", "bye", URLS["site"]]] == [before, after]
