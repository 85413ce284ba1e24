"""Each question to a deployment, against a stand-in that answers as the documented API does."""

from __future__ import annotations

import json

import httpx2
import pytest
from inline_snapshot import snapshot

from mcp_convex.domain import errors
from mcp_convex.domain.models import ConvexFunction, DeploymentInfo, Table
from tests.doubles.convex_deployment import KEY, ConvexDeployment, Threw, api_of, function, reach_of

pytestmark = pytest.mark.anyio


def throwing(exc: Threw):
    def code(args):
        raise exc

    return code


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            {"kind": "cloud", "deploymentType": "prod", "projectSlug": "chat", "teamId": 7},
            DeploymentInfo(kind="cloud", deployment_type="prod", project="chat"),
        ),
        ({"kind": "selfHosted"}, DeploymentInfo(kind="selfHosted")),
    ],
)
async def test_a_deployment_says_what_it_is(said, expected):
    assert expected == await api_of(ConvexDeployment(info=said)).info(reach_of())


async def test_a_type_that_is_unknown_is_not_taken_for_a_harmless_one():
    with pytest.raises(errors.UnexpectedAnswer):
        await api_of(ConvexDeployment(info={"kind": "cloud", "deploymentType": "live"})).info(reach_of())


async def test_canonical_urls_that_are_no_urls_are_refused():
    """They are written into `.env.local`."""
    urls = {"convexCloudUrl": "https://a.example\nCONVEX_DEPLOY_KEY=x", "convexSiteUrl": "https://b.example"}

    with pytest.raises(errors.UnexpectedAnswer):
        await api_of(ConvexDeployment(urls=urls)).canonical_urls(reach_of())


async def test_functions_are_named_as_one_calls_them():
    body = {"body": {"fieldType": {"type": "string"}, "optional": False}}
    deployment = ConvexDeployment(
        functions=[
            function("messages:send", "Mutation", args=body),
            function("admin/users:purge", "Action", "internal"),
            {"functionType": "HttpAction", "method": "GET", "path": "/hook"},
            {"identifier": "legacy.js:default", "functionType": "Query"},
        ]
    )

    found = await api_of(deployment).list_functions(reach_of())

    assert (
        ConvexFunction(name="GET /hook", kind="http_action"),
        ConvexFunction(name="admin/users:purge", kind="action", visibility="internal", args="{}", returns="any"),
        ConvexFunction(name="legacy:default", kind="query", args="any", returns="any"),
        ConvexFunction(name="messages:send", kind="mutation", args="{body: string}", returns="any"),
    ) == found


async def test_a_function_returns_its_value_and_what_it_logged():
    deployment = ConvexDeployment(code={"messages:send": lambda args: {"echo": args["body"]}})

    result = await api_of(deployment).run_function(reach_of(), "messages:send", {"body": "hi"})

    assert {"echo": "hi"} == result.value
    assert ("[LOG] 'ran'",) == result.log_lines
    assert {"path": "messages:send", "args": {"body": "hi"}, "format": "json"} == json.loads(
        deployment.requests[0].content
    )


@pytest.mark.parametrize("status", [200, 560])
async def test_a_function_that_throws_is_told_with_its_message_data_and_logs(status):
    """Some versions answer 200, others 560. The first line of the message is ours, the rest is the app's."""
    thrown = Threw("Uncaught ConvexError: full", {"room": 7}, ("[LOG] 'counting'",))
    deployment = ConvexDeployment(code={"rooms:join": throwing(thrown)}, status_of_throws=status)

    with pytest.raises(errors.FunctionThrew) as caught:
        await api_of(deployment).run_function(reach_of(), "rooms:join", {})

    assert caught.value.message == snapshot(
        """\
`rooms:join` threw:
Uncaught ConvexError: full
Data: {"room": 7}
Logged:
[LOG] 'counting'\
"""
    )


async def test_what_a_function_throws_is_bounded():
    deployment = ConvexDeployment(code={"a:b": throwing(Threw("x" * 10**6, None, ("y" * 10**6,)))})

    with pytest.raises(errors.FunctionThrew) as caught:
        await api_of(deployment).run_function(reach_of(), "a:b", {})

    assert len(caught.value.message) < 10_000


async def test_a_one_off_query_is_sent_as_a_module_with_the_key_where_that_endpoint_reads_it():
    deployment = ConvexDeployment()

    result = await api_of(deployment).run_query(reach_of(), "await ctx.db.query('messages').first()")

    assert "convex:/_system/repl/wrappers.js" in str(result.value)
    assert KEY == json.loads(deployment.requests[0].content)["adminKey"]


async def test_a_one_off_query_that_does_not_parse_is_the_callers_mistake():
    deployment = ConvexDeployment()
    refusal = {"code": "InvalidModules", "message": "Unexpected token"}
    deployment.overrides["/api/run_test_function"] = lambda _: httpx2.Response(400, json=refusal)

    with pytest.raises(errors.FunctionThrew) as caught:
        await api_of(deployment).run_query(reach_of(), "export default query(")

    assert "The query threw:\nInvalidModules: Unexpected token" == caught.value.message


MESSAGES = {
    "tableName": "messages",
    "indexes": [{"indexDescriptor": "by_channel", "fields": ["channel"]}],
    "stagedDbIndexes": [{"indexDescriptor": "by_author", "fields": ["author", "_creationTime"]}],
    "searchIndexes": [{"indexDescriptor": "by_body", "searchField": "body", "filterFields": ["channel"]}],
    "vectorIndexes": [
        {"indexDescriptor": "by_meaning", "vectorField": "meaning", "dimensions": 1536, "filterFields": []}
    ],
    "documentType": {"type": "object", "value": {"body": {"fieldType": {"type": "string"}, "optional": False}}},
}
NOTES_SHAPE = {"type": "Object", "fields": [{"fieldName": "text", "optional": False, "shape": {"type": "String"}}]}


async def test_tables_show_what_is_declared_and_what_is_only_stored():
    deployment = ConvexDeployment(
        documents={"messages": [{"_id": "m1"}], "notes": [], "zeta": []},
        schema={"tables": [MESSAGES, {"tableName": "channels", "documentType": {"type": "any"}}]},
        shapes={"notes": NOTES_SHAPE, "messages": {"type": "Never"}},
    )

    tables = await api_of(deployment).list_tables(reach_of())

    assert tables == (
        Table(name="channels", documents=0, fields="any"),
        Table(
            name="messages",
            documents=1,
            fields="{body: string}",
            indexes=(
                "by_channel(channel, _creationTime)",
                "by_body search(body) filter(channel)",
                "by_meaning vector(meaning, 1536)",
                "by_author(author, _creationTime) staged",
            ),
        ),
        Table(name="notes", documents=0, fields="inferred {text: string}"),
        Table(name="zeta", documents=0),
    )


async def test_tables_are_listed_even_where_counts_and_shapes_are_not_to_be_had():
    deployment = ConvexDeployment(documents={"notes": []}, shapes=None, counts=False)

    assert (Table(name="notes"),) == await api_of(deployment).list_tables(reach_of())


async def test_a_table_is_read_a_page_at_a_time():
    deployment = ConvexDeployment(documents={"notes": [{"_id": f"n{i}"} for i in range(5)]})
    convex = api_of(deployment)

    first = await convex.read_table(reach_of(), "notes", limit=3)
    last = await convex.read_table(reach_of(), "notes", limit=3, cursor=first.cursor)
    oldest = await convex.read_table(reach_of(), "notes", limit=1, newest_first=False)

    assert ["n4", "n3", "n2"] == [document["_id"] for document in first.documents]
    assert ["n1", "n0"] == [document["_id"] for document in last.documents]
    assert last.cursor is None
    assert ["n0"] == [document["_id"] for document in oldest.documents]


async def test_a_system_query_without_permission_is_an_access_error():
    deployment = ConvexDeployment()
    said = "You do not have permission to perform this operation (deployment:data:view)."
    body = {"status": "error", "errorMessage": said}
    deployment.overrides["/api/query"] = lambda _: httpx2.Response(200, json=body)

    with pytest.raises(errors.ActionNotAllowed):
        await api_of(deployment).list_functions(reach_of())


def piece(kind="Completion", **more):
    known = {"kind": kind, "udfType": "Action", "identifier": "mail.js:send", "timestamp": 1_700_000_000.5}
    return known | {"requestId": "r1", "executionId": "e1", "logLines": []} | more


async def test_the_pieces_of_an_execution_become_one_entry():
    """A running action sends its lines ahead; lines come as text or in parts."""
    structured = {"messages": ["'two'", "2"], "level": "WARN", "isTruncated": True, "timestamp": 1}
    deployment = ConvexDeployment(
        log_entries=[
            piece("Progress", logLines=["[LOG] 'one'"]),
            piece(executionId="e2", udfType="Query", identifier="messages.js:list", error="Uncaught Error: no"),
            piece(executionId="e3", udfType="Query", identifier="_system/cli/tables"),
            piece(logLines=[structured], executionTime=1.25, timestamp=1_700_000_001.5),
            piece("Progress", executionId="e4", udfType="HttpAction", identifier="GET /hook"),
        ]
    )

    page = await api_of(deployment).read_logs(reach_of(), cursor=None, wait_s=0)

    sent, listed, hook = page.entries
    assert ("mail:send", "action", True, 1250.0) == (sent.function, sent.kind, sent.success, sent.duration_ms)
    assert ("[LOG] 'one'", "[WARN] 'two' 2 (cut by Convex)") == sent.lines
    assert ("messages:list", False, "Uncaught Error: no") == (listed.function, listed.success, listed.error)
    assert ("GET /hook", "http_action", None) == (hook.function, hook.kind, hook.success)


async def test_reading_logs_goes_on_from_the_cursor_and_waits_for_nothing_unasked():
    deployment = ConvexDeployment(log_entries=[piece(), piece(executionId="e2", timestamp=1_700_000_001.5)])
    convex = api_of(deployment)

    first = await convex.read_logs(reach_of(), cursor=None, wait_s=0)
    then = await convex.read_logs(reach_of(), cursor=first.cursor, wait_s=0)
    assert (2, (), first.cursor) == (len(first.entries), then.entries, then.cursor)

    deployment.log_entries.append(piece(executionId="e3", requestId="r3", timestamp=1_700_000_002.5))
    later = await convex.read_logs(reach_of(), cursor=first.cursor, wait_s=0)
    assert ["r3"] == [entry.request_id for entry in later.entries]
    assert 0 == deployment.silences


async def test_waiting_for_logs_ends_when_nothing_comes():
    deployment = ConvexDeployment(log_entries=[piece()])
    convex = api_of(deployment)
    first = await convex.read_logs(reach_of(), cursor=None, wait_s=0)

    then = await convex.read_logs(reach_of(), cursor=first.cursor, wait_s=5)

    assert ((), first.cursor, 1) == (then.entries, then.cursor, deployment.silences)


async def test_only_the_names_of_env_vars_leave_the_adapter():
    deployment = ConvexDeployment(env={"SITE_URL": "https://a.example", "API_KEY": "s3cr3ts3cr3t"})

    assert ("API_KEY", "SITE_URL") == await api_of(deployment).list_env_vars(reach_of())


async def test_a_malformed_list_of_env_vars_is_not_quoted():
    deployment = ConvexDeployment()
    body = {"environmentVariables": {"API_KEY": ["s3cr3ts3cr3t"]}}
    deployment.overrides["/api/v1/list_environment_variables"] = lambda _: httpx2.Response(200, json=body)

    with pytest.raises(errors.UnexpectedAnswer) as caught:
        await api_of(deployment).list_env_vars(reach_of())

    assert "s3cr3t" not in repr((caught.value, caught.value.__cause__))


async def test_env_vars_are_set_and_unset_together():
    deployment = ConvexDeployment(env={"OLD": "1"})

    await api_of(deployment).set_env_vars(reach_of(), {"OLD": None, "NEW": "2"})

    assert {"NEW": "2"} == deployment.env


async def test_a_refused_env_var_is_explained_in_our_words():
    deployment = ConvexDeployment()

    with pytest.raises(errors.InvalidArguments) as caught:
        await api_of(deployment).set_env_vars(reach_of(), {"NEW": "2", "CONVEX_URL": "x"})

    assert "That name is built in and cannot be set." == caught.value.message
    assert {} == deployment.env
