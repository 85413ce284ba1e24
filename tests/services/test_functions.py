"""Finding functions and running them, by whatever name, within what the operator allows."""

from __future__ import annotations

import pytest

from mcp_convex.domain import errors
from mcp_convex.domain.policy import Policy
from mcp_convex.services.functions import FunctionService
from tests.doubles.convex_deployment import ConvexDeployment, api_of, function
from tests.doubles.targets import targets_of

pytestmark = pytest.mark.anyio

LIVE = [
    function("messages:send", "Mutation"),
    function("messages:list"),
    function("mail:sendAll", "Action", "internal"),
    {"functionType": "HttpAction", "method": "GET", "path": "/hook"},
]
CODE = {
    "messages:send": lambda args: {"sent": args},
    "messages:list": lambda args: ["hello"],
    "mail:sendAll": lambda args: None,
}


def service(deployment: ConvexDeployment, policy: Policy | None = None) -> FunctionService:
    policy = policy or Policy()
    return FunctionService(api_of(deployment), targets_of(deployment, policy=policy), policy)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["GET /hook", "mail:sendAll", "messages:list", "messages:send"]),
        ({"search": "Send"}, ["mail:sendAll", "messages:send"]),
        ({"kind": "query"}, ["messages:list"]),
        ({"visibility": "internal"}, ["mail:sendAll"]),
        ({"search": "nothing"}, []),
    ],
)
async def test_functions_are_listed_and_filtered(filters, names):
    found = await service(ConvexDeployment(functions=LIVE)).list(**filters)

    assert names == [live.name for live in found.functions]
    assert 0 == found.omitted


async def test_a_list_too_long_for_one_answer_first_loses_validators_then_says_what_it_omits():
    wide = {f"field{i}": {"fieldType": {"type": "string"}, "optional": False} for i in range(20)}
    some = [function(f"module{i:04}:run", args=wide) for i in range(100)]
    many = [function(f"module{i:04}:run", args=wide) for i in range(1000)]

    of_some = await service(ConvexDeployment(functions=some)).list()
    of_many = await service(ConvexDeployment(functions=many)).list()

    assert (100, None) == (len(of_some.functions), of_some.functions[0].args)
    assert 1000 == len(of_many.functions) + of_many.omitted
    assert len(of_many.model_dump_json()) < 18_000


@pytest.mark.parametrize("name", ["messages:send", "messages.send", "api.messages.send", "convex/messages.ts:send"])
async def test_a_function_runs_by_whatever_name(name):
    result = await service(ConvexDeployment(functions=LIVE, code=CODE)).run(name, {"body": "hi"})

    assert ({"sent": {"body": "hi"}}, False) == (result.value, result.trimmed)


async def test_an_unknown_name_names_the_nearest():
    deployment = ConvexDeployment(functions=LIVE, code=CODE)

    with pytest.raises(errors.NotFound) as caught:
        await service(deployment).run("messages:sent", {})

    assert "Did you mean `messages:send`" in caught.value.next_step
    assert "/api/function" not in deployment.paths()


async def test_nothing_live_is_told_as_that():
    with pytest.raises(errors.NotFound) as caught:
        await service(ConvexDeployment()).run("messages:send", {})

    assert "`push`" in caught.value.next_step


async def test_an_http_action_is_not_run_but_explained():
    with pytest.raises(errors.InvalidArguments) as caught:
        await service(ConvexDeployment(functions=LIVE)).run("GET /hook", {})

    assert "http://127.0.0.1:4001" in caught.value.next_step


@pytest.mark.parametrize("name", ["messages:send", "mail:sendAll"])
async def test_a_read_only_server_runs_what_the_deployment_calls_a_query_and_nothing_else(name):
    """A name proves nothing: the deployment's own analysis decides."""
    deployment = ConvexDeployment(functions=LIVE, code=CODE)
    functions = service(deployment, Policy(read_only=True))

    assert ["hello"] == (await functions.run("messages:list", {})).value
    with pytest.raises(errors.BlockedByPolicy):
        await functions.run(name, {})

    assert 1 == deployment.paths().count("/api/function")


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"n": float("nan")}, errors.InvalidArguments),
        ({"n": float("inf")}, errors.InvalidArguments),
        ({"n": {1, 2}}, errors.InvalidArguments),
        ({"text": "x" * (16 * 2**20)}, errors.TooLarge),
    ],
)
async def test_arguments_that_cannot_be_sent_are_refused_before_anything_is(args, expected):
    deployment = ConvexDeployment(functions=LIVE, code=CODE)

    with pytest.raises(expected):
        await service(deployment).run("messages:send", args)

    assert [] == deployment.requests


async def test_half_a_surrogate_pair_reaches_the_function_as_it_was_sent():
    result = await service(ConvexDeployment(functions=LIVE, code={"messages:send": len})).run(
        "messages:send", {"text": "\ud83d"}
    )

    assert 1 == result.value


async def test_a_large_value_is_cut_with_marks():
    rows = [{"_id": f"m{i}", "body": "x" * 5000} for i in range(1000)]
    deployment = ConvexDeployment(functions=LIVE, code={"messages:list": lambda args: rows})

    result = await service(deployment).run("messages:list", {})

    assert result.trimmed
    assert len(result.model_dump_json()) < 20_000
    assert "more items]" in str(result.value)
    assert "more characters]" in str(result.value)


async def test_a_one_off_query_runs_on_a_read_only_server_too():
    result = await service(ConvexDeployment(), Policy(read_only=True)).run_query("await ctx.db.query('notes').first()")

    assert "ctx.db.query('notes').first()" in str(result.value)


async def test_a_one_off_query_has_a_bound():
    with pytest.raises(errors.TooLarge):
        await service(ConvexDeployment()).run_query("x" * 200_000)
