"""The scripted agents: tasks of ours hold, and the judge is one that can say no."""

from __future__ import annotations

import pytest

from benchmarks.evals.__main__ import evaluate, main
from benchmarks.evals.playing import play, scripted
from benchmarks.evals.stage import opened
from benchmarks.evals.tasks import Task, load_all

pytestmark = pytest.mark.anyio

SCHEMA = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({ notes: defineTable({ text: v.optional(v.string()) }).index("by_text", ["text"]) });
"""
NOTES = """\
import { v } from "convex/values";
import { internalQuery, mutation } from "./_generated/server";
export const add = mutation({ args: { text: v.string() }, handler: async (ctx, args) => ctx.db.insert("notes", args) });
export const count = internalQuery({ args: {}, handler: async (ctx) => (await ctx.db.query("notes").take(9)).length });
"""
START = {
    "files": {"convex/schema.ts": SCHEMA, "convex/notes.ts": NOTES},
    "rows": [{"run": "notes:add", "args": {"text": "a"}}],
}


@pytest.fixture(scope="module")
async def stage(tmp_path_factory, anyio_backend):
    """Where any script can be replayed."""
    async with opened(task([{"tool": "list_files"}], [{"table": "notes"}]), tmp_path_factory.mktemp("stage")) as stage:
        yield stage


def task(script, holds, **more) -> Task:
    said = {"name": "one", "size": "small", "request": "Do what there is to be done.", "script": script, "holds": holds}
    return Task.model_validate({**said, **more})


async def test_the_person_the_env_vars_and_the_signed_requests_of_our_tasks_are_real(capsys):
    scores = await evaluate(load_all(("03", "10")), scripted, limit_s=120)
    last = capsys.readouterr().out.splitlines()[-1]

    assert [(True, (), 2), (True, (), 1)] == [
        (score.holds, score.misfits, score.tally.pushes_to_green) for score in scores
    ]
    assert last.startswith("2 of 2 hold; first push green 1/2; pushes to green 1.50 mean; 8 calls; bytes ")


async def test_whatever_does_not_hold_is_told():
    holds = [
        {"run": "notes:add", "args": {"text": "b"}},
        {"run": "notes:add", "args": {"text": "c"}, "throws": "full"},
        {"run": "notes:add", "args": {}, "throws": "text"},
        {"run": "notes:count", "returns": 2},
        {"run": "notes:count", "by": "admin", "returns": 2, "within_s": 0.1},
        {"table": "notes", "count": 3, "has": [{"text": "d"}]},
        {"schema_of": "notes", "fields": ["text", "author"]},
        {"schema_of": "notes", "required": ["text"]},
        {"schema_of": "notes", "index": ["author"]},
        {"schema_of": "notes", "absent": True},
        {"schema_of": "posts"},
        {"schema_of": "posts", "absent": True},
        {"live": "notes:count"},
        {"live": "notes:add", "kind": "Query"},
        {"live": "notes:gone", "visibility": "absent"},
        {"http": "GET /notes"},
        {"file": "convex/notes.ts", "has": "export const gone"},
        {"file": "convex/notes.ts", "absent": True},
        {"file": "convex/http.ts"},
        {"run": "notes:add", "args": {"text": "${unknown}"}},
    ]
    score = await play(task([{"tool": "list_files"}], holds, start=[START]), scripted, limit_s=60)
    told = dict(misfit.removeprefix("hold ").split(", ", 1) for misfit in score.misfits)

    assert not score.holds
    assert {"1", "3", "12", "15"} == {str(number + 1) for number in range(len(holds))} - told.keys()
    assert "notes:add throws nothing" in told["2"]
    assert "Could not find public function" in told["4"]
    assert "notes:count is 3, not 2" == told["5"]
    assert told["6"].startswith('notes has no {"text": "d"}')
    assert "notes has no field author" == told["7"]
    assert "notes does not require text" == told["8"]
    assert told["9"].startswith("notes has no index on author")
    assert "the schema still declares notes" == told["10"]
    assert "the schema does not declare posts" == told["11"]
    assert 'the visibility of notes:count is "internal", not "public"' == told["13"]
    assert 'the kind of notes:add is "Mutation", not "Query"' == told["14"]
    assert "404, not 200" in told["16"]
    assert "does not say" in told["17"]
    assert "convex/notes.ts is still there" == told["18"]
    assert "convex/http.ts is not there" == told["19"]
    assert "${unknown} is not known" == told["20"]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"write": {"convex/a.ts": "export const a = ;"}}, "step 1, write_files finds errors: "),
        ({"write": {"convex/none.ts": {"old": "a", "new": "b"}}}, "step 1, write_files fails: "),
        ({"tool": "list_files", "expect": {"files": "none"}}, "step 1, list_files.files is "),
        ({"tool": "gone"}, "step 1, gone fails: "),
        ({"tool": "list_files", "refused": "not_found"}, "step 1, list_files.error is null"),
        ({"resource": "convex://guidelines/gone"}, "step 1, convex://guidelines/gone fails: "),
    ],
)
async def test_a_script_stops_where_the_server_answers_otherwise(stage, step, told):
    stopped = await scripted(task([step], [{"table": "notes"}]), stage)

    assert stopped
    assert stopped.startswith(told)


async def test_a_task_whose_agent_stopped_or_whose_start_cannot_be_made_does_not_hold():
    broken = {"files": {"convex/notes.ts": "export const a = ;"}}
    for script, start, told in (
        ([{"tool": "gone"}], (), "step 1, gone fails"),
        ([{"push": None}], [broken], "the start does not"),
    ):
        score = await play(task(script, [{"table": "notes"}], start=start), scripted, limit_s=60)
        assert not score.holds
        assert score.stopped.startswith(told)


async def test_the_exit_code_says_whether_all_hold_and_whether_anything_was_measured(tmp_path, capsys):
    (tmp_path / "01-none.yaml").write_text(
        "size: small\nrequest: Make a table, will you?\nscript: [tool: list_files]\nholds: [schema_of: notes]"
    )

    assert 1 == await main([], {}, tmp_path)
    line, misfit, last = capsys.readouterr().out.splitlines()[1:]
    assert ["01-none", "NO", "red", "never", "1"] == line.split()[:5]
    assert "hold 1, the schema does not declare notes" == misfit.strip()
    assert last.startswith("0 of 1 hold; first push green 0/1; never green; 1 calls; ")

    assert 2 == await main(["02"], {}, tmp_path)
    assert "No task is called 02" in capsys.readouterr().err
    assert 2 == await main(["--model", "default"], {}, tmp_path)
    assert "ANTHROPIC_API_KEY" in capsys.readouterr().err
