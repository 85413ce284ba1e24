"""What public apps rely on that small examples leave out: page budgets, nested limits, whom an admin acts as."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.doubles.embedded import Running, running

pytestmark = pytest.mark.anyio

APP = {
    "convex/schema.ts": """
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({
  rows: defineTable({ rank: v.number(), odd: v.boolean() })
    .index("by_rank", ["rank"])
    .index("by_odd", { fields: ["odd"], staged: true }),
});
""",
    "convex/rows.ts": """
import { paginationOptsValidator } from "convex/server";
import { internal } from "./_generated/api";
import { internalMutation, mutation, query } from "./_generated/server";
import { v } from "convex/values";
const counted = { args: { count: v.number() } };
export const idle = mutation({ args: {}, handler: () => "idle" });
export const me = query({ args: {}, handler: async (ctx) => (await ctx.auth.getUserIdentity())?.tokenIdentifier });
export const fill = internalMutation({ ...counted, handler: async (ctx, { count }) => {
  for (let rank = 1; rank <= count; rank++) await ctx.db.insert("rows", { rank, odd: rank % 2 === 1 });
} });
export const odd = query({
  args: { paginationOpts: paginationOptsValidator },
  handler: (ctx, { paginationOpts }) => ctx.db.query("rows").withIndex("by_rank")
    .filter((q) => q.eq(q.field("odd"), true)).paginate(paginationOpts),
});
export const twoPages = query({ args: {}, handler: async (ctx) => {
  await ctx.db.query("rows").paginate({ numItems: 1, cursor: null });
  await ctx.db.query("rows").paginate({ numItems: 1, cursor: null });
} });
export const fillWithin = mutation({ ...counted, handler: async (ctx, { count }): Promise<string[]> => {
  const before = (await ctx.db.query("rows").collect()).length;
  const said = await ctx.runMutation(internal.rows.fill, { count }, { transactionLimits: { documentsWritten: 2 } })
    .then(() => "filled", (error) => error.message);
  const { documentsWritten } = await ctx.meta.getTransactionMetrics();
  return [said, `${(await ctx.db.query("rows").collect()).length - before} more`, `${documentsWritten.used > 0}`];
} });
""",
    "convex/http.ts": """
import { httpRouter } from "convex/server";
import { httpAction } from "./_generated/server";
const http = httpRouter();
http.route({ pathPrefix: "/files/", method: "GET", handler: httpAction(async (_, { url }) => new Response(url)) });
export default http;
""",
}

IDLE_CLIENT = """
const { ConvexClient } = require("convex/browser");
const client = new ConvexClient(process.argv[1]);
client.mutation("rows:idle", {}).then((value) => { console.log(value); process.exit(0); });
"""
ACTING_CLIENT = """
const { ConvexClient } = require("convex/browser");
const client = new ConvexClient(process.argv[1]);
client.client.setAdminAuth(process.argv[2], { subject: "ada", issuer: "https://issuer.test" });
client.query("rows:me", {}).then((value) => { console.log(value); process.exit(0); });
"""


@pytest.fixture(scope="module")
async def app(tmp_path_factory, anyio_backend) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("apps"), APP) as deployment:
        pushed = await deployment.push()
        assert 0 == pushed.code, pushed.said
        yield deployment


@pytest.fixture(scope="module")
async def filled(app: Running) -> Running:
    await app.value("mutation", "rows:fill", {"count": 9})
    return app


async def page(app: Running, **options: Any) -> dict[str, Any]:
    """Return a page of the odd rows, with their ranks in their places."""
    found = await app.value("query", "rows:odd", {"paginationOpts": {"numItems": 3, "cursor": None, **options}})
    return {**found, "page": [row["rank"] for row in found["page"]]}


async def test_a_mutation_that_writes_nothing_returns_before_anything_was_ever_written(app: Running) -> None:
    done = await app.node("-e", IDLE_CLIENT, app.reach.target.url)

    assert (0, "idle\n") == (done.code, done.out), done.said


async def test_an_admin_acts_as_somebody_whom_apps_can_name(app: Running) -> None:
    done = await app.node("-e", ACTING_CLIENT, app.reach.target.url, app.key)

    assert "https://issuer.test|ada\n" == done.out, done.said


async def test_an_http_action_sees_its_url_as_it_was_sent(app: Running) -> None:
    sent = f"{app.reach.target.site_url}/files/a%2Fb%3Fc%20d?q=%26&q=e+f"

    async with httpx2.AsyncClient() as page:
        assert sent == (await page.get(sent)).text


async def test_the_schema_is_told_with_the_field_that_ends_each_index(app: Running) -> None:
    told = await app.value("query", "_system/frontend/getSchemas", {"componentId": None})
    table = json.loads(told["active"])["tables"][0]

    assert [["rank", "_creationTime"]] == [index["fields"] for index in table["indexes"]]
    assert [["odd", "_creationTime"]] == [index["fields"] for index in table["stagedDbIndexes"]]


async def test_a_page_ends_where_its_budget_of_rows_does(filled: Running) -> None:
    first = await page(filled, maximumRowsRead=4)
    second = await page(filled, cursor=first["continueCursor"])

    assert ([1, 3], False, "SplitRequired") == (first["page"], first["isDone"], first["pageStatus"])
    assert ([5, 7, 9], None) == (second["page"], second["pageStatus"])


async def test_a_page_ends_where_its_budget_of_bytes_does(filled: Running) -> None:
    assert ([1], "SplitRequired") == ((found := await page(filled, maximumBytesRead=1))["page"], found["pageStatus"])


async def test_both_halves_of_a_split_page_are_the_page(filled: Running) -> None:
    whole = await page(filled)
    left = await page(filled, endCursor=whole["splitCursor"])
    right = await page(filled, cursor=whole["splitCursor"], endCursor=whole["continueCursor"])

    assert [1, 3, 5] == whole["page"] == [*left["page"], *right["page"]]
    assert left["page"]
    assert right["page"]


@pytest.mark.parametrize("options", [{"numItems": 0}, {"maximumRowsRead": 0}, {"numItems": 40_000}])
async def test_a_page_of_nothing_or_of_too_much_is_refused(filled: Running, options: dict[str, int]) -> None:
    arguments = {"paginationOpts": {"numItems": 3, "cursor": None, **options}}

    assert "error" == (await filled.call("query", "rows:odd", arguments))["status"]


async def test_a_function_reads_pages_of_one_query_only(filled: Running) -> None:
    outcome = await filled.call("query", "rows:twoPages")

    assert "ran multiple paginated queries" in outcome["errorMessage"]


async def test_a_nested_mutation_beyond_its_limits_is_undone_and_can_be_caught(filled: Running) -> None:
    too_many = "Too many writes in a single function execution (limit: 2)"

    said, added, _ = await filled.value("mutation", "rows:fillWithin", {"count": 3})
    assert too_many in said
    assert "0 more" == added
    assert ["filled", "2 more", "true"] == await filled.value("mutation", "rows:fillWithin", {"count": 2})
