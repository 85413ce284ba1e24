"""What Convex allows as an env var, and what it answers to the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.doubles.embedded import CHAT, Running, running

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def bare(tmp_path_factory, anyio_backend) -> AsyncIterator[Running]:
    """A deployment to which nothing was ever pushed."""
    async with running(tmp_path_factory.mktemp("env"), CHAT) as deployment:
        yield deployment


async def change(bare: Running, *changes: dict[str, Any]) -> httpx2.Response:
    return await bare.http.post("/api/v1/update_environment_variables", json={"changes": list(changes)})


async def values(bare: Running) -> dict[str, str]:
    found: dict[str, str] = (await bare.http.get("/api/v1/list_environment_variables")).json()["environmentVariables"]
    return found


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("1ST", "x", "EnvironmentVariableNameInvalid"),
        ("A-B", "x", "EnvironmentVariableNameInvalid"),
        ("A\n", "x", "EnvironmentVariableNameInvalid"),
        ("", "x", "EnvironmentVariableNameInvalid"),
        (None, "x", "EnvironmentVariableNameInvalid"),
        (None, None, "EnvironmentVariableNameInvalid"),
        ("A" * 257, "x", "EnvironmentVariableNameTooLong"),
        ("A", "é" * 4097, "EnvironmentVariableValueTooLarge"),
        ("A", 7, "InvalidEnvironmentVariable"),
        ("CONVEX_SITE_URL", "x", "EnvVarNameForbidden"),
    ],
)
async def test_what_is_not_allowed_is_refused_and_changes_nothing(
    bare: Running, name: str | None, value: Any, code: str
) -> None:
    before = await values(bare)
    answer = await change(bare, {"name": "FINE", "value": "x"}, {"name": name, "value": value})

    assert (400, code) == (answer.status_code, answer.json()["code"])
    assert before == await values(bare)


async def test_a_batch_sets_and_unsets_at_once(bare: Running) -> None:
    await change(bare, {"name": "_A1", "value": "one"}, {"name": "B", "value": ""})
    first = await values(bare)
    answer = await change(bare, {"name": "_A1", "value": None}, {"name": "C", "value": "x" * 8192})

    assert 200 == answer.status_code
    assert {"_A1": "one", "B": ""} == first
    assert {"B": "", "C": "x" * 8192} == await values(bare)
    await change(bare, {"name": "B", "value": None}, {"name": "C", "value": None})


async def test_there_are_bounds_to_how_many_and_how_much(bare: Running) -> None:
    many = await change(bare, *({"name": f"V{number}", "value": "x"} for number in range(513)))
    much = await change(bare, *({"name": f"V{number}", "value": "x" * 8192} for number in range(64)))

    assert ["EnvVarLimitMet", "EnvVarTotalSizeLimitMet"] == [many.json()["code"], much.json()["code"]]
    assert {} == await values(bare)


async def test_a_one_off_query_sees_env_vars_before_anything_was_pushed(bare: Running) -> None:
    source = """
    import { query } from "convex:/_system/repl/wrappers.js";
    export default query(async () => [process.env.EARLY, process.env.CONVEX_CLOUD_URL]);
    """
    await change(bare, {"name": "EARLY", "value": "bird"})
    body = {"adminKey": bare.key, "args": {}, "bundle": {"path": "testQuery.js", "source": source}, "format": "json"}
    answer = await bare.http.post("/api/run_test_function", json=body)
    await change(bare, {"name": "EARLY", "value": None})

    assert ["bird", bare.reach.target.url] == answer.json()["value"]


async def test_a_deployment_without_code_answers_what_it_can(bare: Running) -> None:
    info = await bare.http.get("/api/v1/deployment_info")
    spec = await bare.value("query", "_system/cli/modules:apiSpec")
    tables = await bare.value("query", "_system/cli/tables", {"paginationOpts": {"cursor": None, "numItems": 10}})
    missing = await bare.call("query", "messages:list")
    unknown = await bare.call("query", "_system/cli/nothing")

    assert {"kind": "selfHosted"} == info.json()
    assert ([], []) == (spec, tables["page"])
    assert "Could not find" in missing["errorMessage"]
    assert "Could not find system function" in unknown["errorMessage"]
