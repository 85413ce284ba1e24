"""What the checks make of workspaces as a whole: folders, components, changes, and what is not known."""

from __future__ import annotations

import anyio
import pytest

from mcp_convex.checks import OfflineChecks
from mcp_convex.domain.models import FilePath
from mcp_convex.domain.ports.checks import QueriedIndex
from tests.checks.workspaces import AROUND, IMPORTS, diagnostics, entries

pytestmark = pytest.mark.anyio

MISSPELT = (
    IMPORTS + 'export const get = query({ args: {}, handler: async (ctx) => await ctx.db.query("user").take(5) });\n'
)


def codes(found, *, file=None):
    return [each.code for each in found if each.severity != "note" and file in {None, each.file}]


def severities(found):
    return [(each.code, each.severity) for each in found if each.severity != "note"]


async def test_the_functions_are_where_convex_json_says():
    files = {path.replace("convex/", "backend/fns/"): text for path, text in AROUND.items()}
    files |= {"convex.json": '{"functions": "backend/fns/"}', "backend/fns/a.ts": MISSPELT, "convex/b.ts": MISSPELT}

    assert [("backend/fns/a.ts", "unknown_table")] == [(each.file, each.code) for each in await diagnostics(files)]


async def test_a_component_has_its_own_schema_and_api():
    component = {
        "convex/mail/convex.config.ts": 'export { default } from "a-component/convex.config";',
        "convex/mail/schema.ts": AROUND["convex/schema.ts"].replace("users:", "letters:"),
        "convex/mail/get.ts": MISSPELT.replace('"user"', '"letters"'),
        "convex/mail/bad.ts": MISSPELT.replace('"user"', '"users"'),
    }

    found = await diagnostics(AROUND | component)

    assert [("convex/mail/bad.ts", "unknown_table")] == [(each.file, each.code) for each in found]


async def test_only_what_changed_is_read_again():
    checks, files = OfflineChecks(), AROUND | {"convex/a.ts": MISSPELT}
    asked = []

    first = await diagnostics(files, checks=checks, asked=asked)
    assert {"convex/schema.ts", "convex/a.ts"} <= set(asked)
    asked.clear()
    assert first == await diagnostics(files, checks=checks, asked=asked)
    assert {"convex/schema.ts", "convex/a.ts"}.isdisjoint(asked)
    mended = files | {"convex/schema.ts": files["convex/schema.ts"].replace("users:", "user:")}
    assert [] == codes(await diagnostics(mended, checks=checks, asked=asked))
    assert "convex/a.ts" not in asked


async def test_what_comes_from_elsewhere_is_not_said_to_be_missing():
    schema = """\
import { authTables } from "@convex-dev/auth/server";
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
import { rooms } from "./rooms";
import { halls } from "a-package";
export default defineSchema({ ...authTables, rooms, halls });
"""
    rooms = """\
import { defineTable } from "convex/server";
import { v } from "convex/values";
export const rooms = defineTable({ name: v.string() }).index("by_name", ["name"]);
"""
    uses = """\
export const all = query({
  args: {},
  handler: async (ctx) => [
    await ctx.db.query("authSessions").withIndex("userId", (q) => q.eq("userId", "a")).take(5),
    await ctx.db.query("rooms").withIndex("by_nam").take(5),
    await ctx.db.query("halls").withIndex("by_anything").take(5),
  ],
});
"""
    files = AROUND | {"convex/schema.ts": schema, "convex/rooms.ts": rooms, "convex/all.ts": IMPORTS + uses}

    found = await diagnostics(files)

    assert [("unknown_index", 9)] == [(each.code, each.line) for each in found if each.severity == "error"]


async def test_tests_beside_the_functions_are_left_alone():
    assert [] == codes(await diagnostics(AROUND | {"convex/a.test.ts": MISSPELT, "convex/b.setup.ts": "const a = {"}))


async def test_what_the_compiler_is_told_to_pass_over_is_no_error():
    silenced = MISSPELT.replace("export const", "// @ts-expect-error\nexport const")

    assert ("unknown_table", "warning") in severities(await diagnostics(AROUND | {"convex/a.ts": silenced}))


async def test_a_name_is_no_error_where_the_compiler_finds_only_that_types_go_in_a_circle():
    text = """\
export const list = query({ args: {}, handler: async () => [] });
export const sync = action({ args: {}, handler: async (ctx) => { await ctx.runQuery(internal.a.list, {}); } });
"""
    circle = "export const all = action({ args: {}, handler: async (ctx) => await ctx.runQuery(api.a.list, {}) });\n"
    files = AROUND | {"convex/a.ts": IMPORTS + text, "convex/b.ts": IMPORTS}
    checks = OfflineChecks()

    assert [("wrong_visibility", "error")] == severities(await diagnostics(files, checks=checks))
    files["convex/b.ts"] = IMPORTS + circle
    expected = [("circular_type", "error"), ("wrong_visibility", "warning")]
    assert expected == severities(await diagnostics(files, checks=checks))


async def test_where_a_push_writes_a_tsconfig_the_compiler_will_look_at_the_functions():
    first = {path: text for path, text in AROUND.items() if "tsconfig" not in path} | {"convex/a.ts": MISSPELT}
    aliased = first | {"tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}'}

    assert ["error"] == [each.severity for each in await diagnostics(first)]
    assert ["warning"] == [each.severity for each in await diagnostics(aliased)]


async def test_what_looks_like_code_in_comments_and_strings_is_none():
    text = """\
// await ctx.runQuery(internal.example.gone, {}) and ctx.db.query("nothing")
export const prompt = `Write v.id("nothing") or api.example.gone, and ctx.db.insert("nothing", {}).`;
"""

    assert [] == codes(await diagnostics(AROUND | {"convex/example.ts": IMPORTS + text}))


async def test_a_secret_is_found_and_not_repeated():
    secret = "sk_live_" + "51Hq8rTzLmPwVn3KdJfYx9GcB"

    found = await diagnostics(AROUND | {"convex/a.ts": f'export const key = "{secret}";'})

    assert ["secret"] == codes(found)
    assert secret not in found[0].model_dump_json()


@pytest.mark.parametrize(
    "text", ["(" * 100_000, "export const a = " + "[" * 50_000, "a `b ${" * 9_000, "x" * 900_000, "\0"]
)
async def test_what_is_no_code_at_all_does_no_harm(text):
    with anyio.fail_after(30):
        await diagnostics(AROUND | {"convex/a.ts": text, "src/b.tsx": text})


async def test_a_check_that_is_cancelled_has_ended_when_the_next_one_begins():
    contents = {path: text.encode() for path, text in (AROUND | {"convex/a.ts": MISSPELT * 50}).items()}
    checks, is_read = OfflineChecks(), anyio.Event()

    async def read(path):
        if path == max(contents):
            is_read.set()
        return contents[path]

    async with anyio.create_task_group() as group:
        group.start_soon(checks.check, entries(contents), read)
        await is_read.wait()
        group.cancel_scope.cancel()

    assert await OfflineChecks().check(entries(contents), read) == await checks.check(entries(contents), read)


async def test_env_vars_are_missed_only_where_it_is_known_which_are_set():
    auth = "export default { providers: [{ domain: process.env.ISSUER, applicationID: 'convex' }] };\n"
    files = AROUND | {"convex/auth.config.ts": auth}

    assert [] == codes(await diagnostics(files))
    assert [] == codes(await diagnostics(files, env_vars=("ISSUER",)))
    assert ["env_in_auth"] == codes(await diagnostics(files, env_vars=()))


async def test_the_indexes_that_functions_ask_for_are_known_by_name():
    text = """\
export const one = query({
  args: { table: v.string() },
  handler: async (ctx, args) => [
    await ctx.db.query("users").withIndex("by_email", (q) => q.eq("email", "a")).take(5),
    await ctx.db.query("messages").withSearchIndex("search_body", (q) => q.search("body", "a")).take(5),
    await ctx.db.query(args.table as "users").withIndex("by_anything").take(5),
  ],
});
export const near = action({
  args: {},
  handler: async (ctx) => await ctx.vectorSearch("messages", "by_embedding", { vector: [] }),
});
"""
    files = AROUND | {"convex/a.ts": IMPORTS + text, "convex/a.test.ts": text.replace("by_email", "by_name")}
    contents = {path: content.encode() for path, content in files.items()}

    async def read(path):
        return contents[path]

    names = {("users", "by_email"), ("messages", "search_body"), (None, "by_anything"), ("messages", "by_embedding")}
    expected = {QueriedIndex(table, name, FilePath("convex/a.ts")) for table, name in names}
    assert expected == await OfflineChecks().queried_indexes(entries(contents), read)


LIBRARY = {"convex/lib/names.ts": "export const short = (name: string) => name.slice(0, 9);\n"}
USES = """\
import { short } from "./lib/names";
export const list = query({ args: {}, handler: async () => short("a") });
"""
KNOWN = {**AROUND, **LIBRARY, "convex/a.ts": IMPORTS + USES}


async def origin(files):
    contents = {path: text.encode() for path, text in files.items()}

    async def read(path):
        return contents[path]

    return (await OfflineChecks().origins(entries(contents), read)).get("a.js")


async def test_a_module_is_made_of_its_own_sources_and_settings_whatever_stands_beside_it():
    beside = {"convex/b.ts": IMPORTS + USES, "convex/c.ts": MISSPELT, "src/App.tsx": "export const App = 1;\n"}

    assert await origin(KNOWN) == await origin(KNOWN | beside) is not None


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("convex/a.ts", "args: {}", "args: { }"),
        ("convex/lib/names.ts", "9", "8"),
        ("convex/tsconfig.json", "true", "false"),
    ],
)
async def test_a_module_is_another_once_something_that_it_is_made_of_changes(path, old, new):
    assert await origin(KNOWN) != await origin(KNOWN | {path: KNOWN[path].replace(old, new)})


@pytest.mark.parametrize(
    "line",
    [
        'import { a } from "zod";',
        'import { a } from "../src/a";',
        'export const a = async () => await import("./lib/names");',
        "export const = 1;",
    ],
)
async def test_what_a_module_is_made_of_is_not_guessed(line):
    assert await origin(KNOWN | {"convex/a.ts": f"{line}\n{IMPORTS}{USES}"}) is None
