"""A push that removes public functions from a deployment that is not for trying asks a person first, in both eras."""

from __future__ import annotations

import pytest
from mcp import Client
from mcp.types import ElicitResult

from mcp_convex.embedded import LocalEmbeddedDeployments
from mcp_convex.sandboxes import ConfinedLauncher
from mcp_convex.server import open_services
from tests.world import NOTES, SCHEMA, World, make_settings

pytestmark = pytest.mark.anyio

UNINDEXED = SCHEMA.replace('.index("by_rank", ["rank"])', "")
ADD = NOTES.partition("export const top")[0]
RANKED = """\
import { query } from "./_generated/server";

export const top = query(async (ctx) => await ctx.db.query("notes").withIndex("by_rank").take(3));
"""
"""No compiler looks into it."""


class Person:
    """Answers as told, and remembers what was asked."""

    def __init__(self):
        self.says = ElicitResult(action="decline")
        self.asked = []

    async def answer(self, context, params):
        self.asked.append(params.message)
        return self.says


@pytest.fixture
async def elsewhere(tmp_path):
    """A deployment that the workspace is linked to by URL and key, as a self-hosted one is."""
    settings = make_settings(tmp_path, armed_pushes=False)
    async with LocalEmbeddedDeployments(tmp_path / "elsewhere", ConfinedLauncher()) as deployments:
        reach = await deployments.ensure("elsewhere")
        async with open_services(settings) as services:
            await services.targets.link(reach.target.url, reach.credential)
        yield settings


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_only_a_persons_yes_removes_public_functions(elsewhere, era):
    person = Person()
    async with Client(World.server(elsewhere), mode=era, elicitation_callback=person.answer) as client:
        world = World(client=client, settings=elsewhere, era=era)
        await world.hold({"convex/gone.ts": NOTES})
        assert "pushed" == (await world.content("push"))["outcome"]
        await world.hold({})

        first = (await world.call("push")).structured_content
        assert ("rejected", "needs_consent") == (first["outcome"], first["failure"])
        assert "gone:add" in first["diagnostics"][0]["message"]
        assert [] == person.asked

        refused = (await world.call("push")).structured_content
        assert "needs_consent" == refused["failure"]
        assert "gone:add" in person.asked[0]
        assert (await world.content("list_functions", search="gone"))["functions"]

        await world.hold({"convex/gone.ts": NOTES})
        assert "pushed" == (await world.content("push"))["outcome"]
        assert 1 == len(person.asked)  # of files that remove nothing any more

        await world.hold({})
        person.says = ElicitResult(action="accept", content={"proceed": True})
        previewed = await world.content("push", preview=True)
        assert "functions_removed" == previewed["diagnostics"][0]["code"]
        functions = previewed["changes"]["functions"]
        assert (["gone:add", "gone:top"], []) == (functions["removed"], functions["changed"])
        assert "pushed" == (await world.content("push"))["outcome"]
        assert 2 == len(person.asked)  # since the preview has told what would go
        assert [] == (await world.content("list_functions", search="gone"))["functions"]


async def test_a_client_that_cannot_ask_is_told_who_can_agree(elsewhere):
    async with Client(World.server(elsewhere)) as client:
        world = World(client=client, settings=elsewhere, era="auto")
        await world.hold({"convex/gone.ts": NOTES})
        assert "pushed" == (await world.content("push"))["outcome"]
        await world.hold({"convex/notes.ts": ADD, "convex/ranked.js": RANKED, "convex/schema.ts": UNINDEXED})

        pushed = (await world.call("push")).structured_content
        assert "needs_consent" == pushed["failure"]
        assert "mcp-convex push --yes" in pushed["next_step"]
        assert ["functions_removed", "indexes_removed"] == [each["code"] for each in pushed["diagnostics"]]
        assert "`notes.by_rank` in `convex/ranked.js`" in pushed["diagnostics"][1]["message"]
