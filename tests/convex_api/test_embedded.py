"""The same questions, asked of the embedded deployment after a push by the real CLI: what we send is what it takes."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import pytest

from mcp_convex.convex_api.deployment import HttpDeploymentApi
from mcp_convex.domain import errors
from mcp_convex.domain.models import ConvexFunction, DeploymentInfo, Table, WorkspaceId
from mcp_convex.domain.ports import Reach
from mcp_convex.embedded import LocalEmbeddedDeployments
from tests.doubles.plain_launcher import PlainLauncher
from tests.doubles.projects import make_project

pytestmark = pytest.mark.anyio

SOURCES = {
    "convex/schema.ts": """
        import { defineSchema, defineTable } from "convex/server";
        import { v } from "convex/values";
        export default defineSchema({
          messages: defineTable({ body: v.string(), stars: v.optional(v.int64()) }).index("by_body", ["body"]),
        }, { strictTableNameTypes: false });
    """,
    "convex/messages.ts": """
        import { ConvexError, v } from "convex/values";
        import { internalAction, mutation, query } from "./_generated/server";
        export const send = mutation({
          args: { body: v.string() },
          handler: async (ctx, { body }) => {
            console.log("sending", body);
            await ctx.db.insert("notes" as any, { text: body });
            return await ctx.db.insert("messages", { body, stars: 3n });
          },
        });
        export const list = query({ args: {}, handler: async (ctx) => await ctx.db.query("messages").collect() });
        export const fail = query({ args: {}, handler: async () => { throw new ConvexError({ room: 7 }); } });
        export const ping = internalAction({ args: {}, returns: v.number(), handler: async () => 2 ** 40 });
    """,
}


@dataclass
class Pushed:
    api: HttpDeploymentApi
    reach: Reach


@pytest.fixture(scope="module")
async def pushed(anyio_backend, tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("project"), SOURCES)
    api = HttpDeploymentApi()
    async with LocalEmbeddedDeployments(tmp_path_factory.mktemp("data"), PlainLauncher()) as deployments:
        reach = await deployments.ensure(WorkspaceId("read-back"))
        cli = project / "node_modules" / "convex" / "dist" / "cli.bundle.cjs"
        flags = ["dev", "--once", "--typecheck", "disable", "--tail-logs", "disable"]
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(project),
            "CI": "1",
            "CONVEX_SELF_HOSTED_URL": reach.target.url,
            "CONVEX_SELF_HOSTED_ADMIN_KEY": reach.credential.get_secret_value(),
        }
        with anyio.fail_after(60):
            await anyio.run_process(["node", str(cli), *flags], cwd=project, env=env)
        yield Pushed(api, reach)
    await api.close()


async def test_it_says_what_and_where_it_is(pushed):
    assert DeploymentInfo(kind="selfHosted") == await pushed.api.info(pushed.reach)
    assert (pushed.reach.target.url, pushed.reach.target.site_url) == await pushed.api.canonical_urls(pushed.reach)


async def test_the_live_functions_are_those_of_the_sources(pushed):
    assert (
        ConvexFunction(name="messages:fail", kind="query", args="{}", returns="any"),
        ConvexFunction(name="messages:list", kind="query", args="{}", returns="any"),
        ConvexFunction(name="messages:ping", kind="action", visibility="internal", args="{}", returns="number"),
        ConvexFunction(name="messages:send", kind="mutation", args="{body: string}", returns="any"),
    ) == await pushed.api.list_functions(pushed.reach)


async def test_what_a_mutation_wrote_is_read_back_by_every_way_there_is(pushed):
    """A value of 64 bits comes as text, as Convex's plain JSON has it."""
    sent = await pushed.api.run_function(pushed.reach, "messages:send", {"body": "hello"})
    listed = await pushed.api.run_function(pushed.reach, "messages:list", {})
    queried = await pushed.api.run_query(pushed.reach, 'await ctx.db.query("messages").collect()')
    page = await pushed.api.read_table(pushed.reach, "messages", limit=1)

    assert [(sent.value, "hello", "3")] == [(row["_id"], row["body"], row["stars"]) for row in page.documents]
    assert listed.value == queried.value == list(page.documents)
    assert ["[LOG] 'sending' 'hello'"] == list(sent.log_lines)


async def test_tables_show_their_schema_or_what_is_stored(pushed):
    await pushed.api.run_function(pushed.reach, "messages:send", {"body": "again"})

    messages, notes = await pushed.api.list_tables(pushed.reach)

    assert messages.documents == notes.documents
    assert messages == Table(
        name="messages",
        documents=messages.documents,
        fields="{body: string, stars?: bigint}",
        indexes=("by_body(body, _creationTime)",),
    )
    assert notes == Table(name="notes", documents=notes.documents, fields="inferred {text: string}")


async def test_what_a_function_throws_is_told(pushed):
    with pytest.raises(errors.FunctionThrew) as thrown:
        await pushed.api.run_function(pushed.reach, "messages:fail", {})
    with pytest.raises(errors.FunctionThrew) as refused:
        await pushed.api.run_function(pushed.reach, "messages:send", {"body": 1})

    assert 'Data: {"room": 7}' in thrown.value.message
    assert "body" in refused.value.message


async def test_a_one_off_query_cannot_write(pushed):
    source = 'export default query({ handler: async (ctx) => await ctx.db.insert("messages", { body: "no" }) })'

    with pytest.raises(errors.FunctionThrew):
        await pushed.api.run_query(pushed.reach, source)


async def test_a_one_off_query_that_does_not_parse_is_the_callers_mistake(pushed):
    with pytest.raises(errors.FunctionThrew):
        await pushed.api.run_query(pushed.reach, "export default query(")


async def test_the_logs_show_what_ran_and_wait_for_no_more(pushed):
    await pushed.api.run_function(pushed.reach, "messages:ping", {})

    with anyio.fail_after(20):
        page = await pushed.api.read_logs(pushed.reach, cursor=None, wait_s=0)
        later = await pushed.api.read_logs(pushed.reach, cursor=page.cursor, wait_s=0)

    last = page.entries[-1]
    assert ("messages:ping", "action", True) == (last.function, last.kind, last.success)
    assert not later.entries


async def test_env_vars_are_set_and_listed_by_name(pushed):
    await pushed.api.set_env_vars(pushed.reach, {"SITE_URL": "https://a.example", "GREETING": "hi"})
    await pushed.api.set_env_vars(pushed.reach, {"GREETING": None})

    assert ("SITE_URL",) == await pushed.api.list_env_vars(pushed.reach)
    with pytest.raises(errors.InvalidArguments):
        await pushed.api.set_env_vars(pushed.reach, {"1X": "a"})
