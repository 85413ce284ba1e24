"""What `write_files` does with a template in a workspace that is not empty."""

from __future__ import annotations

import json

import pytest

from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("world", ["auto"], indirect=True)]  # of either era

PRESENCE = {"convex/presence.ts", "convex/schema.ts"}
OWN = '{\n    "dependencies": {"convex": "1.48.0"},\n    "devDependencies": {"@auth/core": "0.41.3"}\n}\n'


@pytest.fixture
async def empty(world) -> World:
    """The shared server's workspace, with nothing in `convex/`."""
    there = [entry["path"] for entry in (await world.content("list_files"))["files"]]
    left = [path for path in there if path.startswith("convex/") and path != "convex/tsconfig.json"]
    if left:
        await world.content("write_files", changes=[{"path": path, "delete": True} for path in left])
    return world


def written(result) -> dict[str, str]:
    return {change["path"]: change["action"] for change in result["changes"]}


async def test_whoever_pushes_an_empty_workspace_is_told_how_to_begin(empty):
    checked = [await empty.content("check_files", types=types) for types in (False, True)]
    previewed, pushed = await empty.content("push", preview=True), await empty.content("push")

    assert ("previewed", "pushed") == (previewed["outcome"], pushed["outcome"])
    for told in (*checked, previewed, pushed):
        assert "begin with one of its templates" in told["next_step"]
        assert "nothing_to_push" in [each["code"] for each in told["diagnostics"]]


async def test_a_template_is_written_once_and_says_what_is_left_to_do(empty):
    first = await empty.content("write_files", template="presence")
    again = await empty.content("write_files", template="presence")

    assert dict.fromkeys(PRESENCE, "created") == written(first)
    assert dict.fromkeys(PRESENCE, "unchanged") == written(again)
    assert first["next_step"].startswith("1. ")


async def test_a_template_is_never_written_over_another_file(empty):
    await empty.write({"convex/schema.ts": "export default {};\n"})

    result = await empty.call("write_files", template="presence")

    error = result.structured_content["error"]
    assert ("invalid_arguments", "changed_call") == (error["code"], error["retry"])
    assert "`convex/schema.ts` stands there" in error["message"]
    assert "present: defineTable" in error["message"]  # what to join it with
    assert not (empty.workspace / "convex/presence.ts").exists()


async def test_a_file_that_the_changes_name_is_theirs(empty):
    await empty.write({"convex/schema.ts": "export default {};\n"})
    joined = {"path": "convex/schema.ts", "content": "// joined\n"}

    result = await empty.content("write_files", template="presence", changes=[joined])

    assert {"convex/schema.ts": "updated", "convex/presence.ts": "created"} == written(result)
    assert "// joined\n" == (empty.workspace / "convex/schema.ts").read_text()


async def test_packages_that_are_missing_are_added_and_the_others_left(empty):
    before = (empty.workspace / "package.json").read_text()
    await empty.write({"package.json": OWN})
    try:
        result = await empty.content("write_files", template="convex_auth")
        manifest = json.loads((empty.workspace / "package.json").read_text())
    finally:
        await empty.write({"package.json": before})

    assert "updated" == written(result)["package.json"]
    assert {"@convex-dev/auth": "^0.0.95", "convex": "1.48.0"} == manifest["dependencies"]
    assert {"@auth/core": "0.41.3"} == manifest["devDependencies"]


async def test_a_workspace_without_a_package_json_gets_one(empty):
    before = (empty.workspace / "package.json").read_text()
    await empty.content("write_files", changes=[{"path": "package.json", "delete": True}])
    try:
        result = await empty.content("write_files", template="convex_auth")
        manifest = json.loads((empty.workspace / "package.json").read_text())
    finally:
        await empty.write({"package.json": before})

    assert "created" == written(result)["package.json"]
    assert {"@auth/core", "@convex-dev/auth", "convex"} == manifest["dependencies"].keys()
    assert "typescript" in manifest["devDependencies"]


async def test_a_package_json_that_is_none_is_left_as_it_is(empty):
    before = (empty.workspace / "package.json").read_text()
    await empty.write({"package.json": "{"})
    try:
        assert "invalid_arguments" == await empty.code("write_files", template="convex_auth")
        assert not (empty.workspace / "convex/auth.ts").exists()
    finally:
        await empty.write({"package.json": before})


async def test_a_template_goes_where_the_projects_functions_are(empty):
    await empty.write({"convex.json": '{"functions": "backend/convex/"}'})
    try:
        result = await empty.content("write_files", template="presence")
        moved = [{"path": path, "delete": True} for path in written(result)]
        await empty.content("write_files", changes=moved)
    finally:
        await empty.content("write_files", changes=[{"path": "convex.json", "delete": True}])

    assert {f"backend/{path}" for path in PRESENCE} == set(written(result))


async def test_a_call_that_would_write_nothing_and_an_unknown_template_are_refused(empty):
    assert "invalid_arguments" == await empty.code("write_files")
    assert "invalid_arguments" == await empty.code("write_files", template="blog")
