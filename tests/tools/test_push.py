"""The main job, through the protocol: real sources, the real CLI, the gate, the embedded deployment."""

from __future__ import annotations

import pytest

from tests.world import NOTES, SCHEMA

pytestmark = pytest.mark.anyio

ARMED = pytest.mark.parametrize("world", ["auto"], indirect=True)
PLAIN = pytest.mark.parametrize("world", ["legacy"], indirect=True)
"""For what neither the protocol's era nor the CLI's way of starting has a part in."""


async def test_the_main_job_in_one_go(world):
    """Written, pushed, run, read back; and each answer says so in data and in words."""
    await world.hold({"convex/first.ts": NOTES})
    stages = []

    async def on_progress(progress, total, message):
        stages.append(message)

    result = await world.client.call_tool("push", {}, progress_callback=on_progress)
    pushed = result.structured_content

    assert "pushed" == pushed["outcome"], pushed
    assert ["bundling", "starting", "type check", "schema", "finishing", "done"] == stages[-6:]
    assert {"first:add", "first:top"} <= set(pushed["changes"]["functions"]["added"])
    assert "embedded" == pushed["target"]["kind"]
    assert f"Deployment: embedded `{pushed['target']['name']}`, {pushed['target']['url']}" in result.content[0].text

    await world.content("run_function", name="first:add", args={"text": "first", "rank": 1000})
    ran = await world.content("run_function", name="first:top")
    assert "first" == ran["value"][0]["text"]
    page = await world.content("read_table", table="notes")
    assert "first" == page["documents"][0]["text"]
    assert pushed["target"]["url"] in (world.workspace / ".env.local").read_text()
    assert (world.workspace / "convex/_generated/api.d.ts").exists()


async def test_a_type_error_is_located_and_nothing_goes_live(world):
    await world.hold({"convex/late.ts": NOTES.replace("args.text", "args.txet")})

    result = await world.call("push")
    pushed = result.structured_content

    assert result.is_error
    assert ("rejected", "source") == (pushed["outcome"], pushed["failure"])
    found = pushed["diagnostics"][0]
    assert ("convex/late.ts", 7, "TS2339", "tsc") == tuple(found[key] for key in ("file", "line", "code", "source"))
    assert found["hint"]
    live = await world.content("list_functions", search="late")
    assert [] == live["functions"]


@ARMED  # in the other it is the CLI that checks them
async def test_types_are_checked_against_the_code_that_this_very_push_generates(world):
    callee = NOTES.replace("mutation", "internalMutation").replace("export const top", "const top")
    caller = """\
import { internal } from "./_generated/api";
import { action } from "./_generated/server";

export const both = action({
  args: {},
  handler: async (ctx) => void (await ctx.runMutation(internal.callee.add, { text: "", rank: 1 })),
});
"""
    await world.hold({"convex/callee.ts": callee, "convex/caller.ts": caller})
    assert "pushed" == (await world.content("push"))["outcome"]

    renamed = {"path": "convex/callee.ts", "content": callee.replace("const add", "const put")}
    for change in (renamed, {"path": "convex/callee.ts", "delete": True}):
        await world.content("write_files", changes=[change])
        for preview in (True, False):
            refused = (await world.call("push", preview=preview)).structured_content
            assert ("rejected", "source", "type check") == tuple(
                refused[key] for key in ("outcome", "failure", "stage")
            )
            (found,) = refused["diagnostics"]
            assert ("convex/caller.ts", 6, "TS2339", "tsc") == tuple(
                found[key] for key in ("file", "line", "code", "source")
            )
    assert "both" in str((await world.content("list_functions", search="caller"))["functions"])
    await world.write({"convex/callee.ts": callee})
    assert "pushed" == (await world.content("push"))["outcome"]


async def test_a_syntax_error_is_located(world):
    await world.hold({"convex/broken.ts": "export const x = {;\n"})

    pushed = (await world.call("push")).structured_content

    assert ("rejected", "source") == (pushed["outcome"], pushed["failure"])
    assert ("convex/broken.ts", 1, "esbuild") == tuple(
        pushed["diagnostics"][0][key] for key in ("file", "line", "source")
    )


async def test_a_schema_that_the_documents_do_not_fit_is_refused_with_the_document(world):
    await world.hold({})
    assert "pushed" == (await world.content("push"))["outcome"]
    added = (await world.content("run_function", name="notes:add", args={"text": "old", "rank": 2000}))["value"]
    stricter = {
        "convex/schema.ts": SCHEMA.replace("rank: v.number()", "rank: v.number(), by: v.string()"),
        "convex/notes.ts": NOTES.replace('"notes", args', '"notes", { ...args, by: "me" }'),
    }
    await world.write(stricter)

    pushed = (await world.call("push")).structured_content

    assert ("rejected", "data_mismatch") == (pushed["outcome"], pushed["failure"])
    assert "by" in pushed["diagnostics"][0]["message"]
    assert "v.optional" in pushed["diagnostics"][0]["hint"]
    still = await world.content("run_function", name="notes:top")
    assert added in [note["_id"] for note in still["value"]]
    await world.hold({})


async def test_a_project_whose_own_tsconfig_resolves_imports_is_pushed_and_told_that_no_types_were_checked(world):
    own = '{"compilerOptions": {"paths": {"@/*": ["./*"]}}}'
    closer = (world.workspace / "convex/tsconfig.json").read_text()
    await world.hold({"convex/aliased.ts": NOTES.replace("./_generated", "@/convex/_generated")})
    await world.content(
        "write_files",
        changes=[{"path": "tsconfig.json", "content": own}, {"path": "convex/tsconfig.json", "delete": True}],
    )
    pushed = await world.content("push")
    checked = (await world.call("check_files")).structured_content
    await world.content(
        "write_files",
        changes=[{"path": "tsconfig.json", "delete": True}, {"path": "convex/tsconfig.json", "content": closer}],
    )

    assert "pushed" == pushed["outcome"], pushed
    assert "types were not checked" in pushed["notes"][0]
    assert ["tsconfig_missing"] == [found["code"] for found in checked["diagnostics"]]


async def test_a_preview_says_what_would_change_and_changes_nothing(world):
    await world.hold({})
    assert "pushed" == (await world.content("push"))["outcome"]
    await world.content("run_function", name="notes:add", args={"text": "stored", "rank": 1})
    hidden = NOTES.replace("mutation({", "internalMutation({").replace("mutation,", "internalMutation,")
    indexed = SCHEMA.replace('["rank"])', '["rank"]).index("by_text", ["text"])')
    env = 'import { defineApp } from "convex/server";\nimport { v } from "convex/values";\n'
    env += "export default defineApp({ env: { GREETING: v.string() } });\n"
    await world.write({"convex/more.ts": NOTES, "convex/notes.ts": hidden, "convex/schema.ts": indexed})
    await world.write({"convex/convex.config.ts": env})

    result = await world.call("push", preview=True)
    previewed = result.structured_content
    changes = previewed["changes"]

    assert "previewed" == previewed["outcome"]
    assert {"more:add", "more:top"} == set(changes["functions"]["added"])
    assert ["notes:add"] == changes["functions"]["made_internal"]
    assert ["notes.by_text(text)"] == [walk["name"] for walk in changes["backfills"]]
    assert changes["validated"][0]["documents"] == changes["backfills"][0]["documents"] > 0
    assert ("env_missing", "warning") == tuple(previewed["diagnostics"][-1][key] for key in ("code", "severity"))
    assert "now internal: notes:add" in result.content[0].text
    assert [] == (await world.content("list_functions", search="more"))["functions"]


@PLAIN
async def test_checking_needs_no_push_and_leaves_nothing_behind(world):
    await world.hold({"convex/wrong.ts": NOTES.replace('"notes"', '"nots"')})

    result = await world.call("check_files")
    checked = result.structured_content

    assert (False, "source") == (checked["ok"], checked["failure"])
    assert {"convex/wrong.ts"} == {found["file"] for found in checked["diagnostics"]}
    await world.hold({})
    assert (await world.content("check_files"))["ok"]


@PLAIN
async def test_a_push_can_be_read_again_by_its_id(world):
    await world.hold({})
    pushed = await world.content("push")

    read = await world.client.read_resource(f"convex://pushes/{pushed['id']}")

    assert pushed["id"] in read.contents[0].text
    assert '"outcome": "pushed"' in read.contents[0].text


@PLAIN
async def test_the_fifth_failure_for_one_reason_says_to_stop_and_another_reason_counts_anew(world):
    steps = []
    for broken in ("const x = {;\n", "const x = (;\n", *["const x = {;\n"] * 5):
        await world.hold({"convex/stuck.ts": broken})
        steps.append((await world.call("push")).structured_content["next_step"])

    assert [False] * 6 + [True] == [step.startswith("Stop here") for step in steps]
