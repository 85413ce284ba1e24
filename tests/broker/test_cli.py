"""The real CLI at the gate: it goes live, stops, and is stopped, as the gate decides."""

from __future__ import annotations

import os
from dataclasses import dataclass

import anyio
import pytest

from mcp_convex.broker import LocalGate, Tuning
from mcp_convex.domain.ports import GateSession
from mcp_convex.domain.pushes import GateVerdict
from tests.doubles.deployment import ADMIN_KEY, Answers, Says
from tests.doubles.projects import TEMPLATE, MakeProject

pytestmark = pytest.mark.anyio

TSCONFIG = (TEMPLATE / "convex" / "tsconfig.json").read_text()
SCHEMA = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({ messages: defineTable({ body: v.string() }) });
"""
MESSAGES = """\
import { query } from "./_generated/server";
export const list = query({ args: {}, handler: async (ctx) => await ctx.db.query("messages").collect() });
"""
APP = {
    "convex.json": "{}",
    "convex/tsconfig.json": TSCONFIG,
    "convex/schema.ts": SCHEMA,
    "convex/messages.ts": MESSAGES,
}
DEADLINE_S = 60


@pytest.fixture(scope="session")
async def gate(anyio_backend):
    """A gate that gives a busy machine's deployment its time: nothing here is about silence."""
    gate = LocalGate(Tuning(patience_s=0.15, first_pause_s=0.01, longest_pause_s=0.02))
    yield gate
    await gate.aclose()


@dataclass
class Ran:
    verdict: GateVerdict
    exit_code: int | None
    output: str
    key: str


@pytest.fixture
def run_cli(opened):
    """Run `convex dev --once` in a project until it ends, or with *until_settled* until the gate has decided."""

    async def run_cli(project, *, until_settled=False, **terms):
        async with opened(deadline_s=DEADLINE_S, **terms) as cli:
            process = await start(project, cli.session)
            output: list[bytes] = []
            with anyio.fail_after(DEADLINE_S):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(collect, process, output)
                    if until_settled:
                        await cli.session.settled()
                        process.kill()
                    await process.wait()
            return Ran(cli.session.verdict(), process.returncode, b"".join(output).decode(), cli.key)

    return run_cli


async def start(project, session: GateSession):
    cli = str(project / "node_modules" / "convex" / "dist" / "cli.bundle.cjs")
    at = ["--url", session.url, "--admin-key", session.placeholder.get_secret_value()]
    flags = ["--typecheck", "enable", "--tail-logs", "disable"]
    env = {"PATH": os.environ["PATH"], "HOME": str(project), "CI": "1"}
    return await anyio.open_process(["node", cli, "dev", "--once", *at, *flags], cwd=project, env=env, stderr=-2)


async def collect(process, output):
    async for chunk in process.stdout:
        output.append(chunk)


async def test_a_push_goes_live(convex_project: MakeProject, run_cli, deployment):
    deployment.env_vars = {"TOKEN": "canary-of-the-env"}
    ran = await run_cli(convex_project(APP))

    assert (0, True, None) == (ran.exit_code, ran.verdict.live, ran.verdict.failure)
    assert "Convex functions ready!" in ran.output
    assert ("messages:list",) == ran.verdict.changes.functions.added
    assert ("messages",) == ran.verdict.changes.tables
    assert deployment.env_vars == deployment.asked("finish_push")[0].body["startPush"]["environmentVariables"]
    for secret in (ADMIN_KEY, "canary-of-the-env"):
        assert secret not in ran.output
    assert ran.key.encode() not in b"".join(seen.raw for seen in deployment.seen)


async def test_an_unchanged_push_goes_live_by_its_hashes(convex_project: MakeProject, run_cli, deployment):
    """The first push also writes generated code, which the second then bundles; the third finds all as it was."""
    project = convex_project(APP)
    runs = [await run_cli(project) for _ in range(3)]

    assert all(ran.verdict.live for ran in runs)
    assert [] == deployment.asked("start_push")[2].body["appDefinition"]["changedModules"]


async def test_a_preview_stops_before_anything_is_live(convex_project: MakeProject, run_cli, deployment):
    ran = await run_cli(convex_project(APP), until_settled=True, purpose="preview")

    assert (True, False) == (ran.verdict.stopped, ran.verdict.live)
    assert not deployment.asked("finish_push")


BROKEN = APP | {"convex/bad.ts": 'import { query } from "./_generated/server";\nexport const n: number = "x";\n'}


@pytest.mark.parametrize("purpose", ["push", "check"])
async def test_a_type_error_is_the_clis_to_tell(convex_project: MakeProject, run_cli, deployment, purpose):
    ran = await run_cli(convex_project(BROKEN), purpose=purpose)

    assert "TS2322" in ran.output
    assert ("type check", None, False) == (ran.verdict.reached, ran.verdict.failure, ran.verdict.stopped)
    assert 0 == deployment.pushes


@pytest.mark.parametrize(
    ("trouble", "failure"),
    [
        (("start_push", Says(403, "Forbidden", "You do not have permission (deployment:deploy).")), "auth"),
        (("start_push", Says(500, "InternalServerError", "Your request couldn't be completed.")), "transient"),
        (("wait_for_schema", Answers({"type": "raceDetected"})), "conflict"),
        (("finish_push", Says(400, "RaceDetected", "Environment variables have changed during push")), "conflict"),
        (("finish_push", Answers([])), "transient"),
    ],
    ids=repr,
)
async def test_the_cli_stops_by_itself_on_what_ends_a_push(convex_project, run_cli, deployment, trouble, failure):
    """It would exit 0 after a 403 or a lost race, and never end after 500 or RaceDetected."""
    deployment.always(*trouble)
    ran = await run_cli(convex_project(APP))

    assert ran.exit_code is not None
    assert (False, failure) == (ran.verdict.live, ran.verdict.failure)


STRAYS = {
    "json": 'import x from "../../secret.json";',
    "text": 'import x from "../../secret.txt";',
    "bytes": 'import x from "../../plain" with { type: "bytes" };',
    "absolute": 'import x from "ROOT/other.txt";',
    "code": 'import { x } from "../../secret";',
    "wasm": 'import x from "../../secret.wasm";',
}
"""Modules, each with a way to a file outside."""


async def test_no_file_from_outside_leaves_the_machine(convex_project: MakeProject, run_cli, deployment):
    project = convex_project(APP)
    outside = project.parent
    for name in ("secret.json", "secret.txt", "other.txt", "plain", "secret.wasm", "secret.ts"):
        (outside / name).write_text('export const x = () => "S3CR3T";' if name.endswith(".ts") else '{"a": "S3CR3T"}')
    for name, line in STRAYS.items():
        source = f'import {{ query }} from "./_generated/server";\n{line}\n'.replace("ROOT", str(outside))
        source += "export const leak = query({ args: {}, handler: async () => [x] });\n"
        (project / "convex" / f"{name}.ts").write_text(source)
    ran = await run_cli(project, root=project)

    assert "source" == ran.verdict.failure
    assert {f"convex/{name}.ts" for name in STRAYS} == {found.file for found in ran.verdict.diagnostics}
    assert b"S3CR3T" not in b"".join(seen.raw for seen in deployment.seen)


INSIDE = """\
import { query } from "./_generated/server";
import data from "../data/words.json";
// @ts-ignore
import text from "./note.txt";
export const all = query({ args: {}, handler: async () => [data, text] });
"""


async def test_a_projects_own_data_is_no_stray(convex_project: MakeProject, run_cli):
    own = {"convex/inside.ts": INSIDE, "data/words.json": '["a"]', "convex/note.txt": "note"}
    ran = await run_cli(convex_project(APP | own))

    assert ran.verdict.live, ran.output


# --- checks without a deployment ---------------------------------------------------------------------------------

COMPONENTS = {
    "convex/convex.config.ts": """\
import { defineApp } from "convex/server";
import { v } from "convex/values";
import counter from "./counter/convex.config";
const app = defineApp({ env: { TOKEN: v.string() } });
app.use(counter);
app.use(counter, { name: "second" });
export default app;
""",
    "convex/counter/convex.config.ts": """\
import { defineComponent } from "convex/server";
const component = defineComponent("counter");
export default component;
""",
    "convex/counter/public.ts": """\
import { mutation } from "./_generated/server";
export const bump = mutation({ args: {}, handler: async () => 1 });
""",
    "convex/uses.ts": """\
import { env, mutation } from "./_generated/server";
import { components } from "./_generated/api";
export const go = mutation({
  args: {},
  handler: async (ctx): Promise<[number, string]> => {
    await ctx.runMutation(components.counter.public.bump, {});
    return [await ctx.runMutation(components.second.public.bump, {}), env.TOKEN];
  },
});
""",
}


async def test_a_check_asks_no_deployment_and_knows_an_apps_components_and_env_vars(
    convex_project: MakeProject, run_cli, deployment
):
    ran = await run_cli(convex_project(APP | COMPONENTS), until_settled=True, purpose="check", reach=None)

    assert (True, None) == (ran.verdict.stopped, ran.verdict.failure), ran.output
    assert not deployment.seen


async def test_a_check_knows_which_components_an_app_does_not_use(convex_project: MakeProject, run_cli):
    uses = COMPONENTS["convex/uses.ts"].replace("components.second", "components.third")
    ran = await run_cli(convex_project(APP | COMPONENTS | {"convex/uses.ts": uses}), purpose="check", reach=None)

    assert "Property 'third' does not exist" in ran.output
    assert not ran.verdict.stopped


STATIC = {
    "convex.json": '{"codegen": {"staticApi": true, "staticDataModel": true}}',
    "convex/schema.ts": SCHEMA.replace("() })", '(), n: v.number() }).index("by", ["body", "n"])'),
    "convex/nested/count.ts": """\
import { internalQuery } from "../_generated/server";
export const all = internalQuery({ args: {}, handler: async () => 1 });
""",
    "convex/uses.ts": """\
import { api, internal } from "./_generated/api";
import type { Doc, TableNames } from "./_generated/dataModel";
import { action, query } from "./_generated/server";
export const calls = action(async (ctx) => [
  await ctx.runQuery(api.messages.list, {}),
  await ctx.runQuery(internal.nested.count.all, {}),
]);
export const names: Record<TableNames, number> = { messages: 1 };
export const indexed = query(async (ctx): Promise<Doc<"messages"> | null> =>
  await ctx.db.query("messages").withIndex("by", (q) => q.eq("body", "x").eq("n", 1)).first(),
);
""",
}


@pytest.mark.parametrize("file_type", ["js/dts", "ts"])
async def test_a_check_knows_functions_and_tables_that_are_generated_statically(
    convex_project: MakeProject, run_cli, file_type
):
    config = STATIC["convex.json"].replace("true}", f'true, "fileType": "{file_type}"}}')
    sources = APP | STATIC | {"convex.json": config}
    ran = await run_cli(convex_project(sources), until_settled=True, purpose="check", reach=None)

    assert ran.verdict.stopped, ran.output


async def test_a_check_knows_which_fields_tables_lack_that_are_generated_statically(
    convex_project: MakeProject, run_cli
):
    wrong = STATIC["convex/uses.ts"].replace('q.eq("body"', 'q.eq("text"')
    ran = await run_cli(convex_project(APP | STATIC | {"convex/uses.ts": wrong}), purpose="check", reach=None)

    assert not ran.verdict.stopped
    assert "Found 1 error in convex/uses.ts" in ran.output
