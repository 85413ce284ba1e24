"""How functions run: arguments, results, failures, nesting, logs, HTTP, one-off queries."""

from __future__ import annotations

import asyncio
import base64
import shutil
from pathlib import Path

import pytest

from tests.doubles.engine_client import EngineClient, EngineRefused

pytestmark = pytest.mark.anyio


async def test_a_mutation_returns_its_value_and_its_log_lines(engine: EngineClient) -> None:
    answer = await engine.request("run", kind="mutation", path="notes:add", args={"body": "hi", "rank": 1})

    assert ["[LOG] 'adding' 'hi' { rank: 1 }"] == answer["logLines"]
    assert "Mutation" == answer["udfType"]
    [note] = await engine.documents("notes")
    assert answer["value"] == note["_id"]


async def test_a_query_tells_which_tables_it_read(engine: EngineClient) -> None:
    answer = await engine.request("run", kind="query", path="notes:list", args={})

    assert [["", "notes"]] == answer["reads"]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (
            {"rank": 1},
            (
                "ArgumentValidationError: Object is missing the required field `body`. "
                "Consider wrapping the field validator in `v.optional(...)` if this is expected.\n\n"
                "Object: {rank: 1.0}\n"
                'Validator: v.object({author: v.optional(v.id("authors")), body: v.string(), rank: v.float64()})'
            ),
        ),
        (
            {"body": 1, "rank": 1},
            "ArgumentValidationError: Value does not match validator.\nPath: .body\nValue: 1.0\nValidator: v.string()",
        ),
        (
            {"body": "a", "rank": 1, "extra": True},
            (
                "ArgumentValidationError: Object contains extra field `extra` that is not in the validator.\n\n"
                'Object: {body: "a", extra: true, rank: 1.0}\n'
                'Validator: v.object({author: v.optional(v.id("authors")), body: v.string(), rank: v.float64()})'
            ),
        ),
    ],
    ids=["missing", "wrong type", "extra"],
)
async def test_arguments_that_do_not_fit_are_refused_in_convexs_words(
    engine: EngineClient, args: dict[str, object], error: str
) -> None:
    assert error == await engine.failure("notes:add", args)


async def test_an_id_of_another_table_is_refused(engine: EngineClient) -> None:
    note = await engine.run("notes:add", {"body": "a", "rank": 1})

    error = await engine.failure("notes:add", {"body": "a", "rank": 1, "author": note})

    assert f'Found ID "{note}" from table `notes`, which does not match the table name in validator' in error
    assert error.endswith("Path: .author")


async def test_a_return_value_that_does_not_fit_is_refused(engine: EngineClient) -> None:
    error = await engine.failure("notes:wrongReturn")

    assert error == "ReturnsValidationError: Value does not match validator.\nValue: 7.0\nValidator: v.string()"


async def test_an_error_names_the_original_file_and_line(engine: EngineClient) -> None:
    error = await engine.failure("notes:writeThenThrow")

    assert error.startswith("Uncaught Error: changed my mind\n    at handler (../convex/notes.ts:")


async def test_a_convex_error_carries_its_data(engine: EngineClient) -> None:
    answer = await engine.request("run", kind="mutation", path="notes:fail", args={})

    assert {"code": "full", "left": 0} == answer["data"]
    assert answer["error"].startswith('Uncaught ConvexError: {"code":"full","left":0}')


async def test_a_mutation_that_throws_writes_nothing(engine: EngineClient) -> None:
    await engine.failure("notes:writeThenThrow")

    assert [] == await engine.documents("notes")


async def test_only_the_nested_part_is_undone_when_its_error_is_caught(engine: EngineClient) -> None:
    message = await engine.run("notes:catchInner")

    assert message.startswith("Uncaught Error: inner failed")
    assert ["outer"] == [note["body"] for note in await engine.documents("notes")]


async def test_a_document_that_does_not_fit_the_schema_is_refused(engine: EngineClient) -> None:
    error = await engine.failure("notes:badInsert")

    assert error.startswith(
        'Uncaught Error: Failed to insert or update a document in table "notes" because it does not match the schema: '
        "Object is missing the required field `body`."
    )


async def test_mutations_run_one_after_another(engine: EngineClient) -> None:
    await asyncio.gather(*(engine.run("notes:increment") for _ in range(25)))

    assert [25] == [note["rank"] for note in await engine.documents("notes")]


async def test_an_action_runs_mutations_and_queries(engine: EngineClient) -> None:
    assert 2 == await engine.run("notes:addTwice", {"body": "twice"})


async def test_an_action_in_node_uses_its_modules(engine: EngineClient) -> None:
    digest = await engine.run("hashing:sha256", {"text": "x"})

    assert digest == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


async def test_packages_in_commonjs_find_their_names_in_node(engine: EngineClient) -> None:
    assert ["function", "object", "object", "string", "string"] == await engine.run("hashing:commonJs")


@pytest.mark.parametrize(("path", "name"), [("notes:fetches", "fetch()"), ("notes:sleeps", "setTimeout")])
async def test_transactions_reach_no_network_and_no_timers(engine: EngineClient, path: str, name: str) -> None:
    error = await engine.failure(path)

    assert f"Can't use {name} in queries and mutations. Please consider using an action." in error


async def test_an_internal_function_is_hidden_from_clients(engine: EngineClient) -> None:
    answer = await engine.request("run", kind="query", path="notes:count", args={})

    assert answer["error"] == (
        "Could not find public function for 'notes:count'. "
        "Did you forget to run `npx convex dev` or `npx convex deploy`?"
    )
    assert 0 == await engine.run("notes:count")


async def test_a_function_of_another_kind_is_refused(engine: EngineClient) -> None:
    error = await engine.failure("notes:list", kind="mutation")

    assert error == "Trying to execute notes.js:list as Mutation, but it is defined as Query."


async def test_env_vars_and_identity_reach_functions(engine: EngineClient) -> None:
    identity = {"subject": "ada", "issuer": "https://example.com", "tokenIdentifier": "https://example.com|ada"}

    assert ["hello", "http://127.0.0.1:3211"] == await engine.run("notes:environment")
    assert identity == await engine.run("notes:whoAmI", identity=identity)
    assert None is await engine.run("notes:whoAmI")


async def test_changed_env_vars_are_seen_by_the_next_call(engine: EngineClient, deployment: Path) -> None:
    shutil.copytree(deployment / "code" / "one", deployment / "code" / "two")
    await engine.request("env", env={"API_KEY": "3", "GREETING": "good morning"}, root="code/two")

    assert "good morning" == (await engine.run("notes:environment"))[0]


async def test_each_completed_function_is_logged(engine: EngineClient) -> None:
    call = {"requestId": "r1", "executionId": "e1", "caller": "HttpApi"}
    await engine.run("notes:addTwice", {"body": "a"}, call=call)

    action = (await engine.event("log", identifier="notes:addTwice"))["entry"]
    nested = (await engine.event("log", identifier="notes:addInternally"))["entry"]
    assert ("r1", "e1", "HttpApi", None) == tuple(
        action[key] for key in ("requestId", "executionId", "caller", "error")
    )
    assert ("r1", "e1", "Action") == tuple(nested[key] for key in ("requestId", "parentExecutionId", "caller"))


async def test_each_commit_is_announced_with_its_tables(engine: EngineClient) -> None:
    await engine.run("notes:add", {"body": "a", "rank": 1})

    assert int((await engine.event("commit", tables=[["", "notes"]]))["ts"]) > 0


async def test_a_promise_that_nobody_awaits_does_not_end_the_engine(engine: EngineClient) -> None:
    assert "returned" == await engine.run("notes:dropsPromise")

    assert "nobody listens" in (await engine.event("fault"))["message"]
    assert "live" == (await engine.request("ping"))["state"]


async def test_components_have_their_own_tables_and_env_vars(engine: EngineClient) -> None:
    assert 6 == await engine.run("counting:like", {"times": 3})

    assert [6, 0, ["3", None]] == await engine.run("counting:totals")
    assert 6 == await engine.run("counts:total", component="likes")


async def http(engine: EngineClient, method: str, path: str, body: str = "") -> tuple[int, str, dict[str, str]]:
    answer = await engine.request(
        "http",
        method=method,
        url=f"http://127.0.0.1:3211{path}",
        headers=[],
        body=base64.b64encode(body.encode()).decode(),
    )
    return answer["status"], base64.b64decode(answer["body"]).decode(), dict(answer["headers"])


async def test_http_actions_are_routed_by_path_and_prefix(engine: EngineClient) -> None:
    status, _, headers = await http(engine, "POST", "/notes", "from outside")

    assert (201, "engine") == (status, headers["x-by"])
    assert ["from outside"] == [note["body"] for note in await engine.documents("notes")]
    assert (200, "/echo/a/b") == (await http(engine, "GET", "/echo/a/b"))[:2]
    assert (404, "No matching routes found") == (await http(engine, "GET", "/nowhere"))[:2]
    assert (200, "from a component") == (await http(engine, "GET", "/views/total"))[:2]


async def test_an_http_action_that_throws_answers_500(engine: EngineClient) -> None:
    status, body, _ = await http(engine, "GET", "/throws")

    assert 500 == status
    assert "Uncaught Error: no answer" in body


ONE_OFF = """
import { query } from "convex:/_system/repl/wrappers.js";
export default query({
  handler: async (ctx) => {
    console.log("looking");
    const notes = ctx.db.query("notes").withIndex("by_rank", (q) => q.gte("rank", 1)).order("desc");
    return (await notes.filter((q) => q.neq(q.field("body"), "b")).collect()).map(({ body }) => body);
  },
});
"""


async def test_a_one_off_query_reads_the_documents(engine: EngineClient) -> None:
    for rank, body in enumerate("abc"):
        await engine.run("notes:add", {"body": body, "rank": rank})

    answer = await engine.request("runSource", source=ONE_OFF)

    assert (["c"], ["[LOG] 'looking'"]) == (answer["value"], answer["logLines"])


@pytest.mark.parametrize("source", ["export default 1", "export default query(", 'throw new Error("x")'])
async def test_a_one_off_query_that_is_none_fails(engine: EngineClient, source: str) -> None:
    assert "error" in await engine.request("runSource", source=source)


@pytest.mark.parametrize(
    ("op", "code"),
    [("nonsense", "BadRequest"), ("load", "BadRequest"), ("open", "BadRequest"), ("resume", "BadRequest")],
)
async def test_a_request_out_of_place_is_refused(engine: EngineClient, op: str, code: str) -> None:
    with pytest.raises(EngineRefused) as refused:
        await engine.request(op)

    assert code == refused.value.code
