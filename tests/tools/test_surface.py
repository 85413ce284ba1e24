"""What must hold for every tool, however many there are."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from mcp import Client

from mcp_convex.services.templates import NAMES
from mcp_convex.settings import Settings
from mcp_convex.tools import TOOLSETS, offered
from tests.world import World, make_settings

pytestmark = pytest.mark.anyio

SNAPSHOTS = Path(__file__).parent / "snapshots"
ALL = [spec for specs in TOOLSETS.values() for spec in specs]


@pytest.fixture(scope="module", params=["auto", "legacy"])
async def world(request, tmp_path_factory, anyio_backend) -> AsyncIterator[World]:
    """A server that offers every toolset, also those that it does not by default."""
    settings = make_settings(tmp_path_factory.mktemp(request.param), toolsets=",".join(TOOLSETS))
    async with Client(World.server(settings), mode=request.param) as client:
        yield World(client=client, settings=settings, era=request.param)


async def listed(world):
    return (await world.client.list_tools()).tools


async def test_every_tool_spells_out_its_hints(world):
    """A client takes an absent hint for the worst, so none may be absent."""
    for tool in await listed(world):
        hints = tool.annotations.model_dump(exclude={"title"})
        assert None not in hints.values(), tool.name
        assert not (tool.annotations.read_only_hint and tool.annotations.destructive_hint), tool.name


async def test_every_tool_and_every_parameter_is_described_and_typed(world):
    for tool in await listed(world):
        assert tool.title, tool.name
        assert tool.description == inspect.cleandoc(tool.description), tool.name
        assert tool.output_schema, tool.name
        for name, schema in tool.input_schema.get("properties", {}).items():
            assert schema.get("description"), (tool.name, name)


async def test_no_tool_takes_an_argument_that_it_does_not_name(world):
    for tool in await listed(world):
        assert tool.input_schema.get("additionalProperties") is False, tool.name


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.name)
async def test_an_unknown_argument_is_refused_and_its_value_not_repeated(world, spec):
    result = await world.call(spec.name, surprise="dev:otter|c4n4ryc4n4ry")

    assert result.is_error
    assert "invalid_arguments" == result.structured_content["error"]["code"]
    assert "surprise" in result.structured_content["error"]["message"]
    assert "c4n4ry" not in result.model_dump_json()


async def test_an_error_fits_the_schema_too_for_some_clients_show_nothing_that_does_not(world):
    for tool in await listed(world):
        refused = (await world.call(tool.name, surprise=True)).structured_content
        assert tool.output_schema["properties"]["error"]["required"] == list(refused["error"])
        Draft202012Validator(tool.output_schema).validate(refused)
        assert not Draft202012Validator(tool.output_schema).is_valid({**refused, "surprise": True}), tool.name


async def test_the_definitions_are_what_was_agreed(world):
    """A changed name, description or schema shows in review: run with UPDATE_SNAPSHOTS=1 and look at the difference."""
    for tool in await listed(world):
        snapshot = SNAPSHOTS / f"{tool.name}.json"
        if os.environ.get("UPDATE_SNAPSHOTS"):
            snapshot.write_text(tool.model_dump_json(exclude_none=True, indent=2) + "\n")
        assert json.loads(snapshot.read_text()) == tool.model_dump(mode="json", exclude_none=True), tool.name


async def test_the_definitions_cost_a_client_little(world):
    """Each client pays for them in every conversation; Convex's own twelve take 10.9 kB."""
    default = {spec.name for name in Settings.model_fields["toolsets"].default for spec in TOOLSETS[name]}
    tools = [tool for tool in await listed(world) if tool.name in default]
    size = sum(len(tool.model_dump_json(exclude_none=True, exclude={"output_schema"})) for tool in tools)

    assert len(tools) <= 25
    assert size <= 750 * len(tools)


async def test_an_unknown_tool_is_an_error_with_the_nearest_as_the_next_step(world):
    assert "unknown_tool" == await world.code("drop_everything")
    near = await world.call("lst_files")
    assert "Did you mean `list_files`?" == near.structured_content["error"]["next_step"]


def test_tool_functions_stay_short():
    """A tool parses, calls a service and returns: fifteen lines, docstring aside."""
    for spec in ALL:
        node = ast.parse(textwrap.dedent(inspect.getsource(spec.fn))).body[0]
        doc = node.body[0].end_lineno - node.body[0].lineno + 1
        body = node.end_lineno - node.body[1].lineno + 1
        assert doc >= 1
        assert body <= 15, spec.name


def test_a_read_only_server_offers_no_tool_that_changes_anything():
    names = {spec.name for spec in offered(TOOLSETS, read_only=True)}

    assert {"list_files", "read_file", "check_files", "list_functions", "list_tables", "read_table"} <= names
    assert not names & {"write_files", "push", "run_function"}


async def test_toolsets_narrow_what_is_offered(tmp_path):
    settings = make_settings(tmp_path, toolsets="files")
    async with Client(World.server(settings)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}

    assert {spec.name for spec in TOOLSETS["files"]} == names


async def test_prompts_have_a_title_a_purpose_and_name_only_tools_and_templates_that_exist(world):
    names = {*(spec.name for spec in ALL), *NAMES}
    for prompt in (await world.client.list_prompts()).prompts:
        text = (await world.client.get_prompt(prompt.name)).messages[0].content.text
        assert prompt.title
        assert prompt.description
        assert set(re.findall(r"`([a-z]+_[a-z_]+)`", text)) <= names, prompt.name
