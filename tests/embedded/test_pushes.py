"""Pushes that go through, that are refused, and that meet one another."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from copy import deepcopy
from typing import Any

import brotli
import pytest

from tests.doubles.embedded import CHAT, Running, running
from tests.doubles.projects import bundle

pytestmark = pytest.mark.anyio

NUMBERED = CHAT["convex/schema.ts"].replace("body: v.string()", "body: v.number()")
CONFIG = """
import { defineApp } from "convex/server";
import { v } from "convex/values";
export default defineApp({ env: { OPENAI_API_KEY: v.string(), STRIPE_KEY: v.string(), NOTE: v.optional(v.string()) } });
"""
AUTH_CONFIG = 'export default { providers: [{ domain: process.env.AUTH_DOMAIN, applicationID: "convex" }] };'


@pytest.fixture(scope="module")
async def shared(tmp_path_factory, anyio_backend) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("pushes"), CHAT) as deployment:
        assert 0 == (await deployment.push()).code
        await deployment.value("mutation", "messages:send", {"author": "ada", "body": "hello"})
        yield deployment


@pytest.fixture(scope="module")
async def bundled(shared: Running) -> dict[str, Any]:
    """What the CLI makes of the project as it is."""
    return bundle(shared.project)


@pytest.fixture
async def chat(shared: Running) -> AsyncIterator[Running]:
    """The deployment as it was: what a test has written into the project goes again."""
    yield shared
    shared.write({"convex/convex.config.ts": None, "convex/auth.config.ts": None, "convex/bad.ts": None, **CHAT})


class Pusher:
    """Sends the requests of a push one by one: of *bundled*, or of the project as the CLI bundles it now."""

    def __init__(self, deployment: Running, bundled: dict[str, Any] | None = None) -> None:
        self._deployment = deployment
        self.body = {**(deepcopy(bundled) or bundle(deployment.project)), "adminKey": deployment.key}

    async def post(self, step: str, body: dict[str, Any]) -> Any:
        return await self._deployment.http.post(f"/api/deploy2/{step}", json={"adminKey": self._deployment.key, **body})

    async def start(self) -> dict[str, Any]:
        started = await self.post("start_push", self.body)
        assert 200 == started.status_code, started.text
        return started.json()

    async def wait(self, started: dict[str, Any]) -> dict[str, Any]:
        change = {"schemaChange": started["schemaChange"], "timeoutMs": 1000, "dryRun": False}
        return (await self.post("wait_for_schema", change)).json()

    async def finish(self, started: dict[str, Any], *, dry_run: bool = False) -> Any:
        return await self.post("finish_push", {"startPush": started, "dryRun": dry_run, "message": None})


async def set_env_vars(deployment: Running, **values: str | None) -> Any:
    """Set env vars, or remove those that have no value."""
    changes = [{"name": name, "value": value} for name, value in values.items()]
    return await deployment.http.post("/api/v1/update_environment_variables", json={"changes": changes})


async def test_code_goes_live_and_documents_stay(chat: Running) -> None:
    before = await chat.value("query", "messages:list")
    chat.write({"convex/bad.ts": 'import { query } from "./_generated/server"; export const v = query(() => "new");'})
    pushed = await chat.push()

    assert 0 == pushed.code, pushed.said
    assert "new" == await chat.value("query", "bad:v")
    assert before == await chat.value("query", "messages:list")


async def test_a_schema_that_does_not_fit_the_documents_is_refused_in_convex_words(chat: Running) -> None:
    [document] = await chat.value("query", "messages:list")
    chat.write({"convex/schema.ts": NUMBERED})
    pushed = await chat.push()

    assert 1 == pushed.code
    assert "Schema validation failed." in pushed.said
    assert f'Document with ID "{document["_id"]}" in table "messages" does not match the schema:' in pushed.said
    assert [document] == await chat.value("query", "messages:list")


async def test_a_push_that_skips_the_schema_check_is_stopped_at_its_end(chat: Running) -> None:
    chat.write({"convex/schema.ts": NUMBERED})
    pusher = Pusher(chat)
    finished = await pusher.finish(await pusher.start())

    assert (400, "SchemaValidationFailed") == (finished.status_code, finished.json()["code"])
    assert "hello" == (await chat.value("query", "messages:list"))[0]["body"]


async def test_a_module_that_throws_at_import_is_named(chat: Running) -> None:
    chat.write({"convex/bad.ts": 'throw new Error("boom at import");\nexport const x = 1;'})
    pushed = await chat.push()

    assert 1 == pushed.code
    assert "400 Bad Request: InvalidModules: Hit an error while pushing:" in pushed.said
    assert "Failed to analyze bad.js: Uncaught Error: boom at import" in pushed.said


async def test_env_vars_that_are_declared_and_not_set_are_named(chat: Running) -> None:
    chat.write({"convex/convex.config.ts": CONFIG})
    pushed = await chat.push()

    assert 1 == pushed.code
    assert "Environment variables OPENAI_API_KEY, STRIPE_KEY are declared as required" in pushed.said


async def test_an_env_var_that_is_declared_cannot_be_removed(chat: Running) -> None:
    await set_env_vars(chat, OPENAI_API_KEY="some-value", STRIPE_KEY="some-value")
    chat.write({"convex/convex.config.ts": CONFIG})
    pushed = await chat.push()
    removed = await set_env_vars(chat, STRIPE_KEY=None)
    chat.write({"convex/convex.config.ts": None})
    await chat.push()
    removed_later = await set_env_vars(chat, STRIPE_KEY=None)

    assert 0 == pushed.code, pushed.said
    assert (400, "RequiredEnvironmentVariable") == (removed.status_code, removed.json()["code"])
    assert 200 == removed_later.status_code, removed_later.text


async def test_an_auth_config_that_names_an_unset_env_var_is_refused(chat: Running) -> None:
    chat.write({"convex/auth.config.ts": AUTH_CONFIG})
    pushed = await chat.push()

    assert 1 == pushed.code
    assert "Environment variable AUTH_DOMAIN is used in auth config file but its value was not set." in pushed.said


async def test_an_env_var_that_changes_during_a_push_makes_it_start_again(chat: Running, bundled: Any) -> None:
    pusher = Pusher(chat, bundled)
    started = await pusher.start()
    await set_env_vars(chat, GREETING="changed")
    raced = await pusher.finish(started)
    finished = await pusher.finish(await pusher.start())

    assert (400, "RaceDetected") == (raced.status_code, raced.json()["code"])
    assert 200 == finished.status_code, finished.text


async def test_env_vars_that_change_are_seen_outside_functions_too(chat: Running) -> None:
    for greeting in ("one", "two"):
        await set_env_vars(chat, GREETING=greeting)
        assert greeting == await chat.value("query", "messages:early")


async def test_a_push_whose_schema_another_push_has_overwritten_loses(chat: Running, bundled: Any) -> None:
    first = Pusher(chat, bundled)
    chat.write({"convex/schema.ts": CHAT["convex/schema.ts"].replace('.index("by_author", ["author"])', "")})
    second = Pusher(chat)
    of_first, of_second = await first.start(), await second.start()

    assert {"type": "raceDetected"} == await first.wait(of_first)
    assert "RaceDetected" == (await first.finish(of_first)).json()["code"]
    assert {"type": "complete"} == await second.wait(of_second)
    assert 200 == (await second.finish(of_second)).status_code
    assert 200 == (await first.finish(await first.start())).status_code


async def test_a_push_says_what_it_changes(chat: Running, bundled: Any) -> None:
    before = Pusher(chat, bundled)
    await before.finish(await before.start())
    indexed = CHAT["convex/schema.ts"].replace('["author"])', '["author"]).index("by_body", ["body"])')
    crons = (
        'import { cronJobs } from "convex/server"; import { api } from "./_generated/api";'
        "const crons = cronJobs();"
        'crons.daily("tidy", { hourUTC: 3, minuteUTC: 0 }, api.messages.send, { author: "cron", body: "x" });'
        "export default crons;"
    )
    chat.write({"convex/schema.ts": indexed, "convex/crons.ts": crons, "convex/files.ts": None})
    pusher = Pusher(chat)
    started = await pusher.start()
    diff = (await pusher.finish(started)).json()
    chat.write({"convex/crons.ts": None})
    app = diff["componentDiffs"][""]

    added = [{"name": "messages.by_body", "type": "database", "fields": ["body", "_creationTime"]}]
    assert added == started["schemaChange"]["indexDiffs"][""]["added_indexes"]
    assert added == app["indexDiff"]["added_indexes"]
    assert {"added": ["crons.js"], "removed": ["files.js"]} == app["moduleDiff"]
    assert ["tidy"] == app["cronDiff"]["added"]
    assert "modify" == app["diffType"]["type"]


async def test_a_dry_run_changes_nothing(chat: Running) -> None:
    chat.write({"convex/bad.ts": 'import { query } from "./_generated/server"; export const dry = query(() => 1);'})
    deployed = await chat.convex("deploy", "-y", "--dry-run", "--typecheck", "disable")

    assert 0 == deployed.code, deployed.said
    assert "error" == (await chat.call("query", "bad:dry"))["status"]


async def test_only_modules_that_have_changed_are_sent_again(chat: Running, bundled: Any) -> None:
    pusher = Pusher(chat, bundled)
    await pusher.finish(await pusher.start())
    hashes = (await chat.http.post("/api/get_config_hashes", json={"adminKey": chat.key})).json()
    known = {module["path"]: module for module in hashes["moduleHashes"]}
    app = pusher.body["appDefinition"]
    app["unchangedModuleHashes"] = [
        {"path": sent["path"], "environment": sent["environment"], "sha256": known[sent["path"]]["hash"]}
        for sent in app["changedModules"]
    ]
    app["changedModules"] = []
    packed = brotli.compress(json.dumps(pusher.body).encode())
    started = await chat.http.post("/api/deploy2/start_push", content=packed, headers={"Content-Encoding": "br"})
    finished = await pusher.finish(started.json())

    assert (200, 200) == (started.status_code, finished.status_code), finished.text
    assert 1 == len(await chat.value("query", "messages:list"))


async def test_a_module_that_was_never_pushed_cannot_be_called_unchanged(chat: Running, bundled: Any) -> None:
    pusher = Pusher(chat, bundled)
    pusher.body["appDefinition"]["unchangedModuleHashes"] = [
        {"path": "x.js", "environment": "isolate", "sha256": "0" * 64}
    ]
    refused = await pusher.post("start_push", pusher.body)

    assert (400, "ModuleNotFound") == (refused.status_code, refused.json()["code"])


async def test_a_module_cannot_lie_outside_its_folder(chat: Running, bundled: Any) -> None:
    pusher = Pusher(chat, bundled)
    pusher.body["appDefinition"]["changedModules"][0]["path"] = "../../../admin-key"
    refused = await pusher.post("start_push", pusher.body)

    assert (400, "InvalidModulePath") == (refused.status_code, refused.json()["code"])


async def test_a_body_that_is_no_push_is_refused(chat: Running, bundled: Any) -> None:
    pusher = Pusher(chat, bundled)
    empty = await pusher.post("start_push", {})
    no_json = await chat.http.post("/api/deploy2/start_push", content=b"{")
    no_brotli = await chat.http.post(
        "/api/deploy2/start_push", content=b"not brotli at all", headers={"Content-Encoding": "br"}
    )

    assert ["BadPushRequest", "BadJsonBody", "BadCompression"] == [
        answer.json()["code"] for answer in (empty, no_json, no_brotli)
    ]


async def test_a_small_body_that_unpacks_to_too_much_is_refused(chat: Running) -> None:
    bomb = brotli.compress(bytes(201 * 1024 * 1024), quality=1)
    refused = await chat.http.post("/api/deploy2/start_push", content=bomb, headers={"Content-Encoding": "br"})

    assert (413, "RequestTooLarge") == (refused.status_code, refused.json()["code"])


async def test_a_node_module_finds_the_packages_of_the_workspace(chat: Running) -> None:
    manifest = (chat.project / "package.json").read_text()
    named = json.loads(manifest)
    named["dependencies"]["ws"] = "*"
    code = (
        '"use node";\nimport ws from "ws";\nimport { action } from "./_generated/server";'
        "export const kind = action(async () => typeof ws);"
    )
    chat.write({"package.json": json.dumps(named), "convex/bad.ts": code})
    pusher = Pusher(chat)
    chat.write({"package.json": manifest})
    pushed = await pusher.finish(await pusher.start())

    assert ["ws"] == [package["name"] for package in pusher.body["nodeDependencies"]]
    assert 200 == pushed.status_code, pushed.text
    assert "function" == await chat.value("action", "bad:kind")


async def test_old_code_does_not_pile_up(chat: Running, bundled: Any) -> None:
    pusher = Pusher(chat, bundled)
    for number in range(8):
        pusher.body["appDefinition"]["changedModules"][0]["source"] += f"\n// {number}"
        await pusher.finish(await pusher.start())

    assert 6 > len(list((chat.folder / "engine" / "code").iterdir()))
    assert 60 > len(list((chat.folder / "modules").iterdir()))
