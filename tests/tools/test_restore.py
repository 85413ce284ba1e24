"""Going back to what was live, and taking that back, without losing an edit."""

from __future__ import annotations

import json

import pytest

from tests.world import APP, NOTES

pytestmark = pytest.mark.anyio

WORSE = NOTES.replace("take(3)", "tkae(3)")


async def history(world):
    read = await world.client.read_resource("convex://snapshots")
    return json.loads(read.contents[0].text)


async def text(world, path):
    return (await world.content("read_file", path=path))["content"]


@pytest.fixture
async def pushed(world):
    """The snapshot of the example app, which is live."""
    await world.hold({})
    shown = await history(world)
    if (shown.get("deployed") or {}).get("matches"):
        return next(each["id"] for each in shown["snapshots"] if each["reason"] == "pushed")
    pushed = await world.content("push")
    assert "pushed" == pushed["outcome"], pushed
    return pushed["snapshot"]


async def test_the_files_of_the_last_push_come_back_and_the_edits_too(world, pushed):
    await world.write({"convex/notes.ts": WORSE, "convex/more.ts": NOTES})
    await world.content("write_files", changes=[{"path": "convex/schema.ts", "delete": True}])

    restored = await world.content("restore_files")

    actions = {change["path"]: change["action"] for change in restored["changes"]}
    assert {"convex/notes.ts": "updated", "convex/more.ts": "deleted", "convex/schema.ts": "created"} == actions
    assert pushed == restored["snapshot"]
    assert NOTES == await text(world, "convex/notes.ts")
    assert APP["convex/schema.ts"] == await text(world, "convex/schema.ts")

    await world.content("restore_files", snapshot=restored["undo"])

    assert WORSE == await text(world, "convex/notes.ts")
    assert NOTES == await text(world, "convex/more.ts")
    assert "not_found" == await world.code("read_file", path="convex/schema.ts")


async def test_a_preview_shows_the_differences_and_leaves_all_as_it_is(world, pushed):
    await world.write({"convex/notes.ts": WORSE})

    shown = await world.call("restore_files", preview=True)

    (change,) = shown.structured_content["changes"]
    lines = change["diff"].splitlines()
    assert (1, 1) == tuple(sum(mark + "  handler" in line for line in lines) for mark in "-+")
    assert "take(3)" in shown.content[0].text
    assert shown.structured_content.get("undo") is None
    assert WORSE == await text(world, "convex/notes.ts")


async def test_a_rejected_push_is_taken_back_where_the_agent_says_so(world, pushed):
    await world.write({"convex/notes.ts": WORSE})

    rejected = (await world.call("push", on_failure="restore")).structured_content

    assert ("rejected", pushed) == (rejected["outcome"], rejected["snapshot"])
    assert "TS2339" == rejected["diagnostics"][0]["code"]
    assert NOTES == await text(world, "convex/notes.ts")
    undo = (await history(world))["snapshots"][0]
    assert "restored_over" == undo["reason"]
    assert undo["id"] in rejected["notes"][0]


async def test_what_is_live_is_told_by_the_hashes_of_both_sides(world, pushed):
    assert (await history(world))["deployed"]["matches"] is True

    await world.write({"convex/notes.ts": NOTES + "// later\n"})
    edited = (await history(world))["deployed"]

    assert (False, ["convex/notes.ts"]) == (edited["matches"], edited["unpushed"]["updated"])
    assert [] == edited["changed_elsewhere"]


async def test_a_snapshot_is_read_as_what_it_changed(world, pushed):
    await world.write({"convex/notes.ts": NOTES.replace("take(3)", "take(4)")})
    later = await world.content("push")

    read = await world.client.read_resource(f"convex://snapshots/{later['snapshot']}")

    (change,) = json.loads(read.contents[0].text)["changes"]
    assert ("convex/notes.ts", "updated") == (change["path"], change["action"])
    assert "take(4)" in change["diff"]


async def test_the_same_files_need_no_restoring(world, pushed):
    restored = await world.content("restore_files")

    assert ([], None) == (restored["changes"], restored.get("undo"))


async def test_a_snapshot_that_is_not_there_is_answered_with_those_that_are(world, pushed):
    result = await world.call("restore_files", snapshot="00000000")

    error = result.structured_content["error"]
    assert "not_found" == error["code"]
    assert pushed in error["next_step"]
