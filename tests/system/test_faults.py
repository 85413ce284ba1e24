"""A self-hosted deployment that misbehaves, behind the whole server: each push ends, and says what is true."""

from __future__ import annotations

import anyio
import pytest

from tests.doubles.deployment import Answers, Babbles, BreaksOff, HangsUp, KeepsSilent, Says
from tests.world import NOTES

pytestmark = pytest.mark.anyio

ALLOWED_S = 120
"""Far more than the deadline of `hasty`: what hangs is told from what is slow on a busy machine."""

MISSING = "Required environment variables are not set: OPENAI_API_KEY. Set them in the Convex dashboard."
AUTH_ENV = "Environment variable CLERK_ISSUER is used in auth config file but its value was not set."
MISFIT = 'Document with ID "k1" in table "notes" does not match the schema: Object is missing the required field `by`.'
REFUSALS = [
    ("get_canonical_urls", Says(401, "BadDeployKey"), "auth", "BadDeployKey"),
    ("start_push", Says(403, "Forbidden", "You do not have permission (deployment:deploy)."), "auth", "Forbidden"),
    ("start_push", Says(429, "TooManyRequests"), "transient", "TooManyRequests"),
    ("get_canonical_urls", Says(500, "InternalServerError"), "transient", "InternalServerError"),
    ("get_config_hashes", Says(503, "ServiceUnavailable"), "transient", "ServiceUnavailable"),
    ("start_push", Says(400, "RaceDetected"), "conflict", "RaceDetected"),
    ("wait_for_schema", Answers({"type": "raceDetected"}), "conflict", "RaceDetected"),
    ("finish_push", Says(400, "RaceDetected", "Environment variables have changed."), "conflict", "RaceDetected"),
    ("start_push", Says(400, "MissingEnvironmentVariables", MISSING), "env_missing", "MissingEnvironmentVariables"),
    ("finish_push", Says(400, "MissingEnvironmentVariables", MISSING), "env_missing", "MissingEnvironmentVariables"),
    (
        "start_push",
        Says(400, "AuthConfigMissingEnvironmentVariable", AUTH_ENV),
        "env_missing",
        "AuthConfigMissingEnvironmentVariable",
    ),
    ("start_push", Says(400, "ModulesTooLarge", "Total module size exceeded"), "too_large", "ModulesTooLarge"),
    ("wait_for_schema", Answers({"type": "failed", "error": MISFIT}), "data_mismatch", "SchemaValidationFailed"),
    (
        "get_config_hashes",
        Says(400, headers={"x-convex-deprecation-state": "Deprecated", "x-convex-deprecation-message": "Too old."}),
        "tooling",
        "cli_deprecated",
    ),
    ("get_config_hashes", BreaksOff(), "transient", "answer_cut_off"),
    ("start_push", BreaksOff(), "transient", "answer_cut_off"),
    ("start_push", Answers({}), "tooling", "unexpected_answer"),
    ("wait_for_schema", Babbles(), "tooling", "unexpected_answer"),
    ("get_canonical_urls", KeepsSilent(), "timeout", "no_answer"),
    ("get_config_hashes", KeepsSilent(), "timeout", "no_answer"),
    ("wait_for_schema", KeepsSilent(), "timeout", "no_answer"),
    ("start_push", KeepsSilent(), "timeout", "deadline"),
    # Before the CLI is started, too, the deployment is asked what it is.
    ("deployment_info", Says(401), "auth", "credential_rejected"),
    ("deployment_info", Says(403), "auth", "action_not_allowed"),
    ("deployment_info", Babbles(), "transient", "unexpected_answer"),
    ("deployment_info", KeepsSilent(), "transient", "convex_unreachable"),
]
REJECTED = {"env_missing", "too_large", "data_mismatch"}


@pytest.mark.parametrize(("step", "fault", "failure", "code"), REFUSALS, ids=[f"{r[0]}-{r[3]}" for r in REFUSALS])
async def test_a_push_that_the_deployment_does_not_take_ends_and_says_why(linked, step, fault, failure, code):
    live = dict(linked.deployment.live)
    linked.deployment.always(step, fault)

    with anyio.fail_after(ALLOWED_S):
        pushed = await linked.push()

    outcome = "rejected" if failure in REJECTED else "failed"
    assert (outcome, failure) == (pushed["outcome"], pushed["failure"])
    assert code == pushed["diagnostics"][0]["code"], pushed["diagnostics"]
    assert pushed["next_step"]
    assert live == linked.deployment.live


async def test_what_is_lacking_is_named(linked):
    linked.deployment.script("start_push", Says(400, "MissingEnvironmentVariables", MISSING))
    assert "OPENAI_API_KEY" in (await linked.push())["next_step"]

    linked.deployment.script("wait_for_schema", Answers({"type": "failed", "error": MISFIT, "tableName": "notes"}))
    found = (await linked.push())["diagnostics"][0]
    assert ("convex/schema.ts", True) == (found["file"], "`by`" in found["message"])


async def test_what_passes_by_itself_is_waited_for(linked):
    linked.deployment.script("get_config_hashes", Says(503), HangsUp())
    linked.deployment.script("start_push", Says(429), Says(400, "RaceDetected"))

    pushed = await linked.push()

    assert ("pushed", 5) == (pushed["outcome"], pushed["attempts"])


async def test_an_env_var_that_is_changed_during_a_push_does_not_fail_it(linked):
    linked.deployment.script("finish_push", Says(400, "RaceDetected", "Environment variables have changed."))

    pushed = await linked.push()

    assert ("pushed", 2) == (pushed["outcome"], pushed["attempts"])
    assert 2 == len(linked.deployment.asked("start_push"))


LOST = [
    BreaksOff(applies=True),
    HangsUp(applies=True),
    Says(500, applies=True),
    Babbles(applies=True),
    KeepsSilent(applies=True),
    BreaksOff(),
    HangsUp(),
    Says(502),
]


@pytest.mark.parametrize("fault", LOST, ids=[f"{type(f).__name__}-{f.applies}" for f in LOST])
async def test_whether_a_push_is_live_is_found_out_when_its_confirmation_is_lost(linked, fault):
    before = linked.deployment.pushes
    await linked.world.write({"convex/fresh.ts": f"{NOTES}export const at = {LOST.index(fault)};\n"})
    linked.deployment.script("finish_push", fault)

    with anyio.fail_after(ALLOWED_S):
        pushed = await linked.push()

    assert fault.applies == (linked.deployment.pushes > before)
    assert ("pushed" if fault.applies else "failed") == pushed["outcome"], pushed
    assert fault.applies or "still live" in pushed["diagnostics"][0]["message"]
    assert 1 == len(linked.deployment.asked("finish_push"))


READS = [
    (Says(401), "credential_rejected"),
    (Says(403), "action_not_allowed"),
    (Says(429, headers={"Retry-After": "60"}), "rate_limited"),
    (Babbles(), "unexpected_answer"),
    (Answers({"type": "no answer at all"}), "unexpected_answer"),
]


@pytest.mark.parametrize(("fault", "code"), READS, ids=[f"{type(r[0]).__name__}-{r[1]}" for r in READS])
async def test_each_tool_that_looks_at_it_names_what_went_wrong(linked, fault, code):
    linked.deployment.always("function", fault)
    assert code == await linked.world.code("run_function", name="notes:top")

    for step in ("query", "stream_function_logs"):
        linked.deployment.always(step, fault)
    assert code == await linked.world.code("read_table", table="notes")
    assert code == await linked.world.code("read_logs")


async def test_a_call_whose_answer_is_lost_may_have_taken_effect_and_is_not_repeated(linked):
    linked.deployment.always("function", HangsUp())

    assert "outcome_unknown" == await linked.world.code("run_function", name="notes:top")
    assert 1 == len(linked.deployment.asked("function"))


async def test_a_deployment_that_no_longer_misbehaves_takes_the_push(linked):
    """After all of the above: no lease is held, nothing is remembered."""
    assert "pushed" == (await linked.push())["outcome"]
