"""A model as the agent, by the real client of Anthropic's API against its double."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import replace

import pytest
from anthropic import AsyncAnthropic

from benchmarks.evals.__main__ import main
from benchmarks.evals.hands import Hands
from benchmarks.evals.model import Bounds, ModelAgent
from benchmarks.evals.stage import opened
from benchmarks.evals.tasks import Prompt, load_all
from tests.doubles.messages_api import KEY, MODEL, Fails, Says, messages_api

pytestmark = pytest.mark.anyio

DONE = Says("All done.")
LOOK = ("list_files", {})


@pytest.fixture(scope="module")
async def served_api(anyio_backend):
    async with messages_api() as api:
        yield api


@pytest.fixture
def api(served_api):
    """The API, which has been asked nothing yet."""
    served_api.coming.clear()
    served_api.asked.clear()
    served_api.asked_at.clear()
    return served_api


@pytest.fixture(scope="module")
async def anthropic(served_api):
    async with AsyncAnthropic(api_key=KEY, base_url=served_api.url, max_retries=2) as client:
        yield client


@pytest.fixture(scope="module")
async def webhook(tmp_path_factory, anyio_backend):
    """A task in which a person knows a secret, and its world."""
    (task,) = load_all(("10",))
    async with opened(task, tmp_path_factory.mktemp("model")) as stage:
        yield task, stage


@pytest.fixture
def work(webhook, anthropic, api, tmp_path):
    """Have the model say *answers* one after the other; return why it stopped, the tally and the transcript."""
    task, stage = webhook

    async def work(*answers, turns=5):
        api.coming = deque(answers)
        hands = Hands(stage.client)
        agent = ModelAgent(anthropic, MODEL, tmp_path, Bounds(turns=turns, tokens=1000))
        stopped = await agent(task, replace(stage, hands=hands))
        return stopped, hands.tally, (tmp_path / f"{task.name}.jsonl").read_text()

    return work


async def test_a_model_does_a_task_with_the_tools_of_the_server(api, tmp_path, capsys):
    (task,) = load_all(("01",))
    first, repair = task.script[0].write, task.script[1].write
    schema = first["convex/schema.ts"].replace(repair["convex/schema.ts"].old, repair["convex/schema.ts"].new)
    changes = [{"path": path, "content": text} for path, text in {**first, "convex/schema.ts": schema}.items()]
    api.coming = deque(
        [
            Says("I look around.", (LOOK, ("read_mcp_resource", {"uri": "convex://guidelines/indexes"}))),
            Says(calls=(("write_files", {"changes": changes}), ("push", {}))),
            Says(calls=(("list_mcp_resources", {}), ("no_such_tool", {}))),
            DONE,
        ]
    )
    environ = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": api.url}

    assert 0 == await main(["01", "--model", MODEL, "--transcripts", str(tmp_path)], environ)
    said = capsys.readouterr().out.splitlines()
    assert ["yes", "green", "1", "6"] == said[2].split()[1:5]
    assert said[3].startswith("1 of 1 hold; first push green 1/1; pushes to green 1.00 mean; 6 calls; ")
    assert said[3].endswith("; 4,440 tokens, 40 of them written")
    assert [f"{task.name}.jsonl"] == [path.name for path in tmp_path.glob(f"*-{MODEL}/*")]
    assert task.request == api.asked[0]["messages"][0]["content"]
    assert "write_files" in api.asked[0]["system"]
    assert {"push", "read_mcp_resource"} <= {tool["name"] for tool in api.asked[0]["tools"]}
    guideline = api.asked[1]["messages"][2]["content"][1]
    assert ("toolu_0002", False) == (guideline["tool_use_id"], guideline["is_error"])
    assert "withIndex" in guideline["content"]
    assert [False, True] == [result["is_error"] for result in api.asked[3]["messages"][6]["content"]]


async def test_a_prompt_that_the_person_picks_comes_before_what_they_ask_for(webhook, anthropic, api, tmp_path):
    task, stage = webhook
    api.coming = deque([DONE])
    picked = task.model_copy(update={"prompt": Prompt(name="fix_a_failed_push")})
    await ModelAgent(anthropic, MODEL, tmp_path)(picked, stage)
    asked = api.asked[0]["messages"][0]["content"]

    assert asked.endswith(f"\n\n{task.request}")
    assert "push" in asked.removesuffix(task.request)


async def test_a_request_that_is_refused_for_now_is_repeated_when_the_api_says(work, api):
    stopped, _, _ = await work(Fails(429, "rate_limit_error", 0.2), Fails(529, "overloaded_error", 0.2), DONE)
    waited = [after - before for before, after in zip(api.asked_at, api.asked_at[1:], strict=False)]

    assert stopped is None
    assert [True, True] == [0.2 <= seconds < 5 for seconds in waited]


@pytest.mark.parametrize(
    ("answers", "turns", "why"),
    [
        ([Fails(500, "api_error", 0.01)] * 3, 5, "the API fails: InternalServerError, Error code: 500"),
        ([Fails(400, "invalid_request_error")], 5, "the API fails: BadRequestError, Error code: 400"),
        ([Says("I was about to", (("write_files", {}),), stop="max_tokens")], 5, "max_tokens"),
        ([Says(stop="refusal")], 5, "refusal"),
        ([Says("Too much.", stop="model_context_window_exceeded")], 5, "model_context_window_exceeded"),
        ([Says(calls=(LOOK,))] * 2, 2, "was not done after 2 turns"),
    ],
)
async def test_why_a_model_stops_is_told_and_kept(work, answers, turns, why):
    stopped, tally, transcript = await work(*answers, turns=turns)

    assert stopped.startswith(why)
    assert stopped == json.loads(transcript.splitlines()[-1])["stopped"]
    assert len([answer for answer in answers if isinstance(answer, Says) and answer.stop is None]) == tally.calls


async def test_a_transcript_holds_what_was_said_and_no_secret(work, webhook):
    task, stage = webhook
    told = f"The key is {KEY}, the secret {task.person.types['WEBHOOK_SECRET']}, and {stage.secrets[0]} opens it all."
    _, _, transcript = await work(Says(told, (LOOK,)), DONE)
    opening, answer, results, last, end = map(json.loads, transcript.splitlines())

    assert (task.name, MODEL) == (opening["task"], opening["model"])
    assert (
        "The key is [secret], the secret [secret], and [secret] opens it all." == answer["answer"]["content"][0]["text"]
    )
    assert "files" in results["results"][0]["content"]
    assert "end_turn" == last["answer"]["stop_reason"]
    assert end["stopped"] is None
    assert not any(secret in transcript for secret in (KEY, *stage.secrets))


@pytest.mark.parametrize(
    ("key", "model", "told"),
    [
        ("sk-ant-wrong", MODEL, "AuthenticationError, Error code: 401"),
        (KEY, "claude-none", "`claude-none` cannot be had: NotFoundError, Error code: 404"),
    ],
)
async def test_a_key_or_a_model_that_the_api_does_not_know_is_told_before_anything_is_played(
    api, capsys, key, model, told
):
    environ = {"ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": api.url, "EVAL_MODEL": model}

    assert 2 == await main(["01"], environ)
    assert told in capsys.readouterr().err
    assert [] == api.asked
