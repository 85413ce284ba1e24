"""What `write_files` and `check_files` say of sources before any of them is pushed, through the protocol."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.anyio

SCHEMA = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({ notes: defineTable({ text: v.string() }).index("by_text", ["text"]) });
"""
LIST = """\
import { query } from "./_generated/server";

export const list = query({
  args: {},
  handler: async (ctx) => await ctx.db.query("notes").withIndex("by_text").take(5),
});
"""


@pytest.fixture
async def notes(world):
    """Give the workspace a schema and a query, and take both away again."""
    written = await world.content("write_files", changes=changes({"schema": SCHEMA, "notes": LIST}))
    assert [] == [each for each in written["diagnostics"] if each["severity"] == "error"]
    yield world
    for path in ("convex/schema.ts", "convex/notes.ts", "convex/auth.config.ts", "functions/lost.ts"):
        (world.workspace / path).unlink(missing_ok=True)


def changes(files):
    return [{"path": f"convex/{name}.ts", "content": text} for name, text in files.items()]


def seen(answer, *, severity="error"):
    return [(each["file"], each["code"]) for each in answer["diagnostics"] if each["severity"] == severity]


async def test_a_write_is_done_and_its_answer_says_what_is_wrong_with_it(notes):
    result = await notes.call(
        "write_files", changes=changes({"notes": LIST.replace('query("notes")', 'query("note")')})
    )

    assert [("convex/notes.ts", "unknown_table")] == seen(result.structured_content)
    assert "error unknown_table: The schema has no table `note`; it has notes." in result.content[0].text
    assert 'query("note")' in (notes.workspace / "convex/notes.ts").read_text()


async def test_a_write_says_what_it_breaks_elsewhere_and_only_that(notes):
    schema = SCHEMA.replace("by_text", "by_words")

    broken = await notes.content("write_files", changes=changes({"schema": schema}))
    assert [("convex/notes.ts", "unknown_index")] == seen(broken)
    other = await notes.content("write_files", changes=changes({"schema": schema.replace("text", "words")}))
    assert [] == seen(other)


async def test_files_are_checked_without_bundler_and_compiler(notes):
    (notes.workspace / "convex/notes.ts").write_text(LIST.replace("by_text", "by_time"))

    checked = (await notes.call("check_files", types=False)).structured_content

    assert (False, "source", [("convex/notes.ts", "unknown_index")]) == (
        checked["ok"],
        checked["failure"],
        seen(checked),
    )
    assert "convex/notes.ts" in checked["next_step"]


async def test_compiler_and_checks_say_the_same_thing_once(notes):
    (notes.workspace / "convex/notes.ts").write_text(LIST.replace("by_text", "by_time") + "// ... rest of the code\n")

    checked = (await notes.call("check_files")).structured_content

    assert [("convex/notes.ts", "TS2345")] == seen(checked)
    assert [("convex/notes.ts", "elision")] == seen(checked, severity="warning")


async def test_code_that_begins_to_read_an_env_var_is_told_unless_it_is_known_to_be_set(notes):
    auth = 'export default { providers: [{ domain: process.env.ISSUER, applicationID: "convex" }] };\n'
    path = "convex/auth.config.ts"

    async def written(text):
        answer = await notes.content("write_files", changes=[{"path": path, "content": text}])
        return seen(answer, severity="note")

    await notes.content("unset_env_vars", names=["ISSUER"])
    assert [(path, "env_needed")] == await written(auth)
    assert [] == await written(f"{auth}// It reads what it read before.\n")
    checked = (await notes.call("check_files", types=False)).structured_content
    assert ("env_missing", [(path, "env_in_auth")]) == (checked["failure"], seen(checked))
    assert "Give `ISSUER` with `request_env_var`" in checked["next_step"]
    assert [] == await written("export default { providers: [] };\n")
    await notes.content("set_env_vars", values={"ISSUER": "https://issuer.example.com"})
    assert [] == await written(auth)
    assert [] == seen(await notes.content("check_files", types=False))


async def test_functions_beside_the_folder_are_told_where_they_belong(notes):
    written = await notes.content("write_files", changes=[{"path": "functions/lost.ts", "content": LIST}])

    found = [(each["code"], each["hint"]) for each in written["diagnostics"]]
    assert [("misplaced", "Write it as `convex/lost.ts`, and delete it here.")] == found
