"""A push through the gate: what reaches the deployment, what reaches the CLI, and what the verdict says."""

from __future__ import annotations

import anyio
import pytest

from mcp_convex.domain.models import ConvexFunction, FilePath
from mcp_convex.domain.ports.checks import QueriedIndex
from tests.doubles.deployment import (
    ADMIN_KEY,
    Answers,
    Babbles,
    BreaksOff,
    HangsUp,
    KeepsSilent,
    Says,
)

pytestmark = pytest.mark.anyio


async def test_a_push_that_the_deployment_confirms_is_live(opened, deployment):
    async with opened() as cli:
        answer = await cli.push()
        with anyio.fail_after(60):
            await cli.session.settled()
        verdict = cli.session.verdict()

    assert 200 == answer.status_code
    assert 1 == deployment.pushes
    assert (True, "done", None, 1) == (verdict.live, verdict.reached, verdict.failure, verdict.attempts)
    assert ("messages:list",) == verdict.changes.functions.added
    assert ["bundling", "starting", "type check", "schema", "finishing", "done"] == cli.stages


async def test_the_cli_is_told_the_deployments_own_urls(opened):
    async with opened() as cli:
        urls = (await cli.canonical_urls()).json()

    assert {"convexCloudUrl": "https://double.test", "convexSiteUrl": "https://site.double.test"} == urls


async def test_only_the_real_key_reaches_the_deployment_and_no_telemetry(opened, deployment):
    async with opened() as cli:
        await cli.push()
        placeholder = cli.key.encode()

    for seen in deployment.seen:
        assert f"Convex {ADMIN_KEY}" == seen.headers["authorization"]
        assert placeholder not in seen.raw
        assert not {"traceparent", "sentry-trace", "baggage"} & seen.headers.keys()
        assert "npm-cli-1.48.0" == seen.headers["convex-client"]


async def test_env_var_values_are_masked_on_the_way_out_and_come_back_intact(opened, deployment):
    deployment.env_vars = {"TOKEN": 'can"ary\n\u2028-värde-123', "SHORT": "on", "EMPTY": ""}
    async with opened() as cli:
        await cli.canonical_urls()
        await cli.config_hashes()
        started = await cli.start_push()
        await cli.wait_for_schema()
        finished = await cli.finish_push()

    shown = started.json()["environmentVariables"]
    assert deployment.env_vars.keys() == shown.keys()
    assert not set(deployment.env_vars.values()) & set(shown.values())
    assert "ary" not in started.text + finished.text
    assert deployment.env_vars == deployment.asked("finish_push")[0].body["startPush"]["environmentVariables"]
    assert 1 == deployment.pushes


async def test_what_the_cli_changes_in_the_analysis_does_not_reach_the_deployment(opened, deployment):
    """The deployment gets back what it answered, to the byte: 1.0 stays 1.0."""
    async with opened() as cli:
        await cli.start_push()
        cli.started["analysis"] = {"forged": True}
        cli.started["schemaChange"] = {"forged": True}
        await cli.wait_for_schema()
        await cli.finish_push()

    assert b"forged" not in b"".join(seen.raw for seen in deployment.seen)
    assert b'"extra":1.0' in deployment.asked("finish_push")[0].raw


@pytest.mark.parametrize("step", ["get_canonical_urls", "get_config_hashes", "start_push", "wait_for_schema"])
@pytest.mark.parametrize(
    "fault", [Says(500), Says(503, "Overloaded"), Says(429, "RateLimited"), HangsUp(), BreaksOff()], ids=repr
)
async def test_a_passing_fault_is_ridden_out_while_the_cli_waits(opened, deployment, step, fault):
    deployment.script(step, fault, fault)
    async with opened() as cli:
        await cli.push()
        verdict = cli.session.verdict()

    assert verdict.live
    assert 3 == verdict.attempts


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("get_canonical_urls", Says(404)),
        ("start_push", Says(400, "RaceDetected", "Schema or environment variables changed during push")),
    ],
)
async def test_what_is_transient_at_one_step_is_ridden_out_there(opened, deployment, step, fault):
    deployment.script(step, fault)
    async with opened() as cli:
        await cli.push()

        assert cli.session.verdict().live


@pytest.mark.parametrize("step", ["get_canonical_urls", "get_config_hashes", "start_push", "wait_for_schema"])
@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (Says(401, "BadDeployKey", "The provided deploy key was invalid"), "auth"),
        (Says(403, "Forbidden", "You do not have permission to perform this operation (deployment:deploy)."), "auth"),
        (Says(500), "transient"),
        (Says(429, "RateLimited", "Too many requests"), "transient"),
        (HangsUp(), "transient"),
        (BreaksOff(), "transient"),
        (KeepsSilent(), "timeout"),
        (Babbles(), "tooling"),
        (Answers({}), "tooling"),
        (Answers([1]), "tooling"),
    ],
    ids=repr,
)
async def test_a_fault_that_stays_ends_the_push_and_stops_the_cli(opened, deployment, step, fault, failure):
    """The CLI ends on 400, 401 and 403, and repeats for ever after anything else."""
    deployment.always(step, fault)
    async with opened(deadline_s=4.0) as cli:
        with anyio.fail_after(60):
            answer = await cli.push()
            await cli.session.settled()
        verdict = cli.session.verdict()

    assert answer.status_code in {400, 401, 403}
    assert "RaceDetected" != answer.json()["code"]
    assert not verdict.live
    assert failure == verdict.failure
    assert verdict.diagnostics
    assert 0 == deployment.pushes


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (("start_push", "InvalidModules", "Failed to analyze bad.js: Uncaught Error: no"), "source"),
        (("start_push", "InvalidSchema", "Index by_x of table t has no field x"), "source"),
        (
            ("start_push", "AuthConfigMissingEnvironmentVariable", "Environment variable X is used in auth"),
            "env_missing",
        ),
        (("finish_push", "MissingEnvironmentVariables", "Required env vars are not set: A, B. Set"), "env_missing"),
        (("finish_push", "RaceDetected", "Environment variables have changed during push"), "conflict"),
    ],
)
async def test_a_refusal_of_the_code_is_a_verdict_of_its_class(opened, deployment, said, failure):
    step, code, message = said
    deployment.always(step, Says(400, code, message))
    async with opened() as cli:
        answer = await cli.push()
        verdict = cli.session.verdict()

    if code == "RaceDetected":
        assert answer.json()["code"] != code
    else:
        assert {"code": code, "message": message} == answer.json()
    assert (False, failure) == (verdict.live, verdict.failure)


async def test_documents_that_do_not_fit_are_the_verdict(opened, deployment):
    error = 'Document with ID "k17" in table "messages" does not match the schema: Object is missing `body`.'
    failed = {"type": "failed", "error": error, "componentPath": "", "tableName": "messages"}
    deployment.always("wait_for_schema", Answers(failed))
    async with opened() as cli:
        await cli.push()
        verdict = cli.session.verdict()

    assert ("data_mismatch", "schema") == (verdict.failure, verdict.reached)
    assert not deployment.asked("finish_push")


async def test_a_schema_that_another_push_replaced_is_a_conflict(opened, deployment):
    deployment.always("wait_for_schema", Answers({"type": "raceDetected"}))
    async with opened() as cli:
        await cli.push()

        assert "conflict" == cli.session.verdict().failure


async def test_the_cli_waits_for_a_schema_as_long_as_it_is_in_progress(opened, deployment):
    progress = {"schemaValidationComplete": False, "indexesComplete": 0, "indexesTotal": 1}
    deployment.script("wait_for_schema", Answers({"type": "inProgress", "components": {"": progress}}))
    async with opened() as cli:
        await cli.start_push()
        first = await cli.wait_for_schema()
        early = await cli.finish_push()

    assert "inProgress" == first.json()["type"]
    assert 400 == early.status_code
    assert 0 == deployment.pushes


LOST = [HangsUp(), BreaksOff(), KeepsSilent(), Says(500), Says(503), Babbles(), Answers({})]


@pytest.mark.parametrize("fault", LOST, ids=repr)
async def test_a_lost_finish_is_never_repeated_and_believed_only_when_the_hashes_prove_it(opened, deployment, fault):
    deployment.always("finish_push", type(fault)(**{**vars(fault), "applies": True}))
    async with opened(deadline_s=4.0) as cli:
        answer = await cli.push()
        verdict = cli.session.verdict()

    assert (True, None) == (verdict.live, verdict.failure)
    assert {"authDiff", "definitionDiffs", "componentDiffs"} == answer.json().keys()
    assert 1 == len(deployment.asked("finish_push"))


@pytest.mark.parametrize("fault", LOST, ids=repr)
async def test_a_lost_finish_that_did_nothing_is_not_live(opened, deployment, fault):
    deployment.always("finish_push", fault)
    async with opened(deadline_s=4.0) as cli:
        await cli.push()
        verdict = cli.session.verdict()

    assert (False, "transient") == (verdict.live, verdict.failure)
    assert "still live" in verdict.diagnostics[0].message
    assert 1 == len(deployment.asked("finish_push"))


async def test_a_lost_finish_of_code_that_was_live_already_stays_unknown(opened, deployment):
    """Equal hashes before and after prove nothing: the schema may have been what changed."""
    async with opened() as cli:
        await cli.push()
    deployment.always("finish_push", HangsUp())
    async with opened() as cli:
        await cli.push()
        verdict = cli.session.verdict()

    assert (False, "transient") == (verdict.live, verdict.failure)
    assert "could not be found out" in verdict.diagnostics[0].message


async def test_a_deployment_that_nobody_answers_for_is_transient(opened, deployment):
    gone = deployment.reach
    target = gone.target.model_copy(update={"url": "http://127.0.0.1:1"})
    async with opened(reach=type(gone)(target, gone.credential)) as cli:
        await cli.push()

        assert "transient" == cli.session.verdict().failure


async def test_a_redirect_is_not_followed(opened, deployment):
    deployment.always("get_canonical_urls", Says(307, headers={"location": "http://127.0.0.1:1/"}))
    async with opened() as cli:
        answer = await cli.push()

    assert 400 == answer.status_code
    assert 1 == len(deployment.seen)


async def test_a_cli_that_is_too_old_is_told_so(opened, deployment):
    headers = {"x-convex-deprecation-state": "Deprecated", "x-convex-deprecation-message": "Please upgrade convex."}
    deployment.always("get_config_hashes", Says(400, "X", "y", headers))
    async with opened() as cli:
        answer = await cli.push()
        verdict = cli.session.verdict()

    assert headers.items() <= dict(answer.headers).items()
    assert ("tooling", "Please upgrade convex.") == (verdict.failure, verdict.diagnostics[0].message)


@pytest.mark.parametrize("fault", [Says(500), Says(404), HangsUp(), KeepsSilent()], ids=repr)
async def test_schema_warnings_of_the_cli_are_optional(opened, deployment, fault):
    deployment.always("evaluate_schema", fault)
    async with opened() as cli:
        body = {"adminKey": cli.key, "appDefinition": {"changedModules": []}}
        answer = await cli.ask("/api/deploy2/evaluate_schema", body, br=True)

        assert 404 == answer.status_code
        assert cli.session.verdict().failure is None


# --- preview and consent -----------------------------------------------------------------------------------------


async def test_a_preview_rehearses_the_schema_and_puts_nothing_live(opened, deployment):
    async with opened(purpose="preview") as cli:
        await cli.push()
        await cli.session.settled()
        verdict = cli.session.verdict()

    assert (False, True, None) == (verdict.live, verdict.stopped, verdict.failure)
    assert ("messages:list",) == verdict.changes.functions.added
    assert 1 == len(deployment.asked("wait_for_schema"))
    assert not deployment.asked("finish_push")


async def test_a_preview_does_not_wait_for_indexes(opened, deployment):
    progress = {"schemaValidationComplete": True, "indexesComplete": 0, "indexesTotal": 1}
    deployment.always("wait_for_schema", Answers({"type": "inProgress", "components": {"": progress}}))
    async with opened(purpose="preview") as cli:
        await cli.push()

        assert cli.session.verdict().stopped


LIVE = (
    ConvexFunction(name="messages:list", kind="mutation"),
    ConvexFunction(name="messages:send", kind="mutation"),
    ConvexFunction(name="messages:sweep", kind="mutation", visibility="internal"),
)


async def test_a_push_that_removes_a_public_function_waits_for_consent(opened, deployment):
    async with opened(live_functions=LIVE) as cli:
        await cli.push()
        verdict = cli.session.verdict()

    assert ("needs_consent", False) == (verdict.failure, verdict.live)
    assert 1 == len(verdict.diagnostics)
    assert "`messages:send`" in verdict.diagnostics[0].message
    assert ("messages:send", "messages:sweep") == verdict.changes.functions.removed
    assert ("messages:list",) == verdict.changes.functions.changed
    assert 0 == deployment.pushes


async def test_consent_lets_it_through(opened, deployment):
    async with opened(live_functions=LIVE, consented=True) as cli:
        await cli.push()

        assert cli.session.verdict().live


async def test_a_removed_internal_function_is_the_apps_own_business(opened):
    async with opened(live_functions=LIVE[::2]) as cli:
        await cli.push()

        assert cli.session.verdict().live


async def test_a_preview_says_what_will_need_consent(opened):
    async with opened(live_functions=LIVE, purpose="preview") as cli:
        await cli.push()
        verdict = cli.session.verdict()

    assert verdict.stopped
    assert [("warning", "functions_removed")] == [(found.severity, found.code) for found in verdict.diagnostics]


async def test_a_public_function_that_becomes_internal_needs_consent_and_is_told(opened, deployment):
    async with opened(live_functions=(ConvexFunction(name="messages:list", kind="query"),)) as cli:
        deployment.internal = {"list"}
        await cli.push()
        verdict = cli.session.verdict()

    assert ("needs_consent", "functions_made_internal") == (verdict.failure, verdict.diagnostics[0].code)
    assert ("messages:list",) == verdict.changes.functions.made_internal


async def test_a_preview_says_what_would_be_walked(opened, deployment):
    deployment.added_indexes = [{"name": "messages.by_body", "type": "database", "fields": ["body", "_creationTime"]}]
    deployment.documents = {"messages": 12}
    async with opened(purpose="preview") as cli:
        await cli.push()
        changes = cli.session.verdict().changes

    assert [("messages.by_body(body)", 12)] == [(walk.name, walk.documents) for walk in changes.backfills]
    assert [("messages", 12)] == [(walk.name, walk.documents) for walk in changes.validated]


@pytest.mark.parametrize(("documents", "failure"), [(99_999, None), (100_000, "needs_consent")])
async def test_an_index_on_a_large_table_waits_for_consent(opened, deployment, documents, failure):
    index = {"name": "messages.by_body", "type": "database", "fields": ["body", "_creationTime"]}
    deployment.added_indexes = [index]
    deployment.documents = {"messages": documents}
    async with opened() as cli:
        await cli.push()
        verdict = cli.session.verdict()

    assert failure == verdict.failure
    assert ("messages.by_body(body)",) == verdict.changes.indexes.added


@pytest.mark.parametrize(
    ("queried", "failure"),
    [
        (("messages", "by_body"), "needs_consent"),
        ((None, "by_body"), "needs_consent"),
        (("messages", "by_author"), None),
        (("users", "by_body"), None),
    ],
)
async def test_an_index_that_code_still_asks_for_goes_only_with_consent(opened, deployment, queried, failure):
    index = {"name": "messages.by_body", "type": "database", "fields": ["body", "_creationTime"]}
    deployment.removed_indexes = [index]

    async def queried_indexes():
        return frozenset(QueriedIndex(*queried, FilePath(file)) for file in ("convex/b.ts", "convex/a.ts"))

    async with opened(queried_indexes=queried_indexes) as cli:
        await cli.push()
        verdict = cli.session.verdict()

    assert failure == verdict.failure
    told = "The push drops indexes that the code still asks for: `messages.by_body` in `convex/a.ts`, `convex/b.ts`."
    assert [("indexes_removed", told)] * bool(failure) == [(each.code, each.message) for each in verdict.diagnostics]


@pytest.mark.parametrize(("fields", "told"), [(None, ["indexes_removed"]), (["author", "body"], [])])
async def test_a_preview_tells_of_it_whoever_is_asked_and_not_of_an_index_whose_fields_change(
    opened, deployment, fields, told
):
    index = {"name": "messages.by_body", "type": "database", "fields": ["body", "_creationTime"]}
    deployment.removed_indexes = [index]
    deployment.added_indexes = [{**index, "fields": fields}] if fields else []

    async def queried_indexes():
        return frozenset({QueriedIndex("messages", "by_body", FilePath("convex/a.ts"))})

    async with opened(queried_indexes=queried_indexes, purpose="preview", consented=True) as cli:
        await cli.push()
        verdict = cli.session.verdict()

    assert verdict.stopped
    assert told == [each.code for each in verdict.diagnostics]


async def test_without_a_list_of_live_functions_modules_stand_for_theirs(opened, deployment):
    deployment.live = {"messages.js": "old", "gone.js": "old", "_deps/X.js": "old"}
    async with opened() as cli:
        await cli.push()
        functions = cli.session.verdict().changes.functions

    assert ((), ("messages:list",), ("gone:*",)) == (functions.added, functions.changed, functions.removed)
