"""What a deployment answers to the steps of a push."""

from __future__ import annotations

import re

import pytest

from mcp_convex.domain.diagnostics import from_schema_failure, from_server
from tests.domain.diagnostics.readings import places

PUSHING = "Hit an error while pushing:\n"
LOADING = PUSHING + "Loading the pushed modules encountered the following\n    error:\n"


@pytest.mark.parametrize(
    ("code", "status", "failure"),
    [
        ("InvalidModules", 400, "source"),
        ("InvalidSchema", 400, "source"),
        ("InvalidConfig", 400, "source"),
        ("InvalidFunctionName", 400, "source"),
        ("IndexNotUnique", 400, "source"),
        ("IndexNameReserved", 400, "source"),
        ("SearchIndexFieldNotUnique", 400, "source"),
        ("FieldsNotUniqueWithinIndex", 400, "source"),
        ("TooManyIndexes", 400, "source"),
        ("InvalidAuthConfig", 400, "source"),
        ("AuthConfigMissingExportError", 400, "source"),
        ("InvalidCron", 400, "source"),
        ("NodeActionsNotSupported", 400, "source"),
        ("InvalidEnvVarDeclaration", 400, "source"),
        ("SchemaEnforcementError", 400, "data_mismatch"),
        ("MissingEnvironmentVariables", 400, "env_missing"),
        ("AuthConfigMissingEnvironmentVariable", 400, "env_missing"),
        ("InvalidEnvironmentVariable", 400, "env_missing"),
        ("EnvironmentVariableNameInvalid", 400, "env_missing"),
        ("EnvVarNameForbidden", 400, "env_missing"),
        ("EnvironmentVariableValueTooLarge", 400, "too_large"),
        ("EnvVarTotalSizeLimitMet", 400, "too_large"),
        ("ModulesTooLarge", 400, "too_large"),
        (None, 413, "too_large"),
        ("RaceDetected", 400, "conflict"),
        ("ConcurrentPush", 400, "conflict"),
        (None, 409, "conflict"),
        ("BadDeployKey", 401, "auth"),
        ("BadDeployKey", 403, "auth"),
        ("BadAdminKey", 401, "auth"),
        ("AccessTokenInvalid", 401, "auth"),
        ("OperationNotPermitted", 403, "auth"),
        ("SSORequired", 403, "auth"),
        (None, 401, "auth"),
        (None, 403, "auth"),
        ("ProjectQuotaReached", 400, "quota"),
        ("BackendIsNotRunning", 400, "quota"),
        ("TooManyConcurrentRequests", 429, "transient"),
        ("SearchIndexesUnavailable", 503, "transient"),
        ("TableSummariesUnavailable", 503, "transient"),
        ("OptimisticConcurrencyControlFailure", 503, "transient"),
        ("InternalServerError", 500, "transient"),
        ("TooManyRequests", 429, "transient"),
        ("InvalidSomething", 403, "auth"),
        (None, 429, "transient"),
        (None, 502, "transient"),
        ("BadJsonBody", 400, "tooling"),
        ("ClientVersionUnsupported", 400, "tooling"),
        ("NotFound", 404, "tooling"),
        (None, 404, "tooling"),
        (None, 418, "tooling"),
        (None, None, "tooling"),
        ("NobodyKnowsThis", 400, "tooling"),
    ],
)
def test_each_code_and_status_has_its_class(code, status, failure):
    found, diagnostics = from_server(code, "Something.", status)

    assert (failure, code or f"http_{status}".replace("http_None", "unknown_answer")) == (found, diagnostics[0].code)


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        ("You do not have permission to perform this operation (deployment:deploy).", "auth"),
        ("You have exceeded the free plan limits, so your deployments have been disabled.", "quota"),
        ("You have exceeded your spending limits, so your deployments have been disabled.", "quota"),
        ("This deployment has been disabled because it exceeded a configured usage limit.", "quota"),
        ("Cannot run functions while this deployment is paused.", "quota"),
        ("The Convex npm package at version 1.2.0 is no longer supported.", "tooling"),
        (PUSHING + "Environment variables have changed during push", "conflict"),
        (PUSHING + "A rule that is not known here.", "source"),
    ],
)
def test_words_that_are_known_count_more_than_a_code_that_is_not(message, failure):
    assert failure == from_server("NobodyKnowsThis", message, 400)[0]


@pytest.mark.parametrize("thrown", ["usage limit", "x is deprecated", "y does not match the schema: z"])
def test_an_apps_own_words_do_not_change_the_class(thrown):
    message = LOADING + f"Failed to analyze bad.js: Uncaught Error: {thrown}"

    assert "source" == from_server("InvalidModules", message, 400)[0]


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("Failed to analyze bad.js: Uncaught Error: boom", ("convex/bad.ts", None, None)),
        ("Failed to analyze ai/chat.js: Uncaught Error: boom", ("convex/ai/chat.ts", None, None)),
        ("Failed to analyze bad.js: boom\n    at f (../convex/lib/a.ts:3:7)", ("convex/lib/a.ts", 3, 7)),
        ("Failed to analyze bad.js: boom\n    at ../convex/a.js:3:7", ("convex/a.js", 3, 7)),
        (
            "Failed to analyze b.js: x\n    at new A (node_modules/a.ts:1:2)\n    at async b (../convex/b.ts:9:1)",
            ("convex/b.ts", 9, 1),
        ),
        ("Failed to analyze bad.js: boom\n    at x (node:internal/vm:1:2)", ("convex/bad.ts", None, None)),
        ("`convex/http.js` must have a default export of a Router.", ("convex/http.ts", None, None)),
        ("`list` defined in `files.js` is a Query function. Only actions…", ("convex/files.ts", None, None)),
        ("Function execution timed out (maximum duration: 2s)", (None, None, None)),
    ],
)
def test_the_place_is_the_apps_own_code(message, place):
    """Modules are bundled as .js; their sources are .ts unless the stack says otherwise."""
    diagnostic = from_server("InvalidModules", LOADING + message, 400)[1][0]

    assert ("InvalidModules", *place) == places([diagnostic])[0]


def test_a_package_that_throws_while_it_loads_is_named():
    thrown = "Failed to analyze ai.js: Uncaught TypeError: x\n    at a (../node_modules/@acme/mail/src/index.ts:1:2)"
    diagnostic = from_server("InvalidModules", LOADING + thrown, 400)[1][0]

    assert diagnostic.hint.startswith("`@acme/mail` throws")
    assert "at a (../node_modules/@acme/mail/src/index.ts:1:2)" == diagnostic.snippet


def test_the_stack_and_the_preamble_are_not_repeated_in_the_message():
    text = LOADING + "Failed to analyze bad.js: Uncaught Error: boom\n    at f (../convex/bad.ts:3:7)\n"

    assert "Failed to analyze bad.js: Uncaught Error: boom" == from_server("InvalidModules", text, 400)[1][0].message


@pytest.mark.parametrize(
    ("code", "message", "file"),
    [
        ("IndexNotUnique", "In table…", "convex/schema.ts"),
        ("InvalidSchema", "Hit an error while evaluating your schema:\nUncaught Error: x", "convex/schema.ts"),
        ("InvalidConfig", "Hit an error while evaluating your auth config:\nUncaught x", "convex/auth.config.ts"),
        ("InvalidDefinition", "The default export of `convex.config.ts`…", "convex/convex.config.ts"),
        ("InvalidCron", "Cron spec…", "convex/crons.ts"),
        ("InvalidExternalModules", "npm install failed", "package.json"),
    ],
)
def test_an_error_about_a_file_with_a_meaning_names_it(code, message, file):
    assert file == from_server(code, PUSHING + message, 400)[1][0].file


def test_each_missing_env_var_is_told_by_itself():
    message = PUSHING + "Required environment variables are not set: A_KEY, B_KEY. Set them in the Convex dashboard."
    failure, diagnostics = from_server("MissingEnvironmentVariables", message, 400)

    assert "env_missing" == failure
    assert ["`A_KEY`", "`B_KEY`"] == [re.search(r"`\w+`", each.message)[0] for each in diagnostics]
    assert all(each.hint.startswith("Call `request_env_var` with ") for each in diagnostics)


def test_a_value_that_is_refused_is_not_told_as_missing():
    message = PUSHING + "Environment variable MODE has value that does not match its validator."
    failure, (diagnostic,) = from_server("InvalidEnvironmentVariable", message, 400)

    assert "env_missing" == failure
    assert message.removeprefix(PUSHING) == diagnostic.message


DOCUMENT = 'Document with ID "j57b" in table "messages" does not match the schema: '


@pytest.mark.parametrize(
    ("why", "told"),
    [
        (
            "Object is missing the required field `body`. Consider…\n\nObject: {author: 1.0}\nValidator: x",
            "has no field `body`, which the schema requires. The document: {author: 1.0}",
        ),
        (
            "Object is missing the required field `zip`. Consider…\nPath: .home.address\nObject: {}\nValidator: x",
            "has no field `zip` in `home.address`, which the schema requires. The document: {}",
        ),
        (
            "Object contains extra field `age` that is not in the validator.\n\nObject: {age: 3.0}\nValidator: x",
            "has the field `age`, which the schema does not declare. The document: {age: 3.0}",
        ),
        (
            "Value does not match validator.\nPath: .author\nValue: 1.0\nValidator: v.string()",
            "holds `1.0` at `author`, where the schema wants `v.string()`.",
        ),
        (
            "Value does not match validator.\n\nValue: 1.0\nValidator: v.string()",
            "holds `1.0`, where the schema wants `v.string()`.",
        ),
        (
            '`"x"` does not match literal validator `v.literal("live")`.Path: .mode',
            'holds `"x"` at `mode`, where the schema wants `v.literal("live")`.',
        ),
        (
            'Found ID "k1" from table `a`, which does not match the table name in validator `v.id("b")`.Path: .to',
            'holds `k1` at `to`, where the schema wants `v.id("b")`.',
        ),
        ("A reason of a later version.", "does not match the schema: A reason of a later version."),
    ],
)
def test_a_document_that_does_not_fit_is_told_in_one_sentence(why, told):
    failure, (diagnostic,) = from_schema_failure(DOCUMENT + why, "messages", "")

    assert ("data_mismatch", "convex/schema.ts") == (failure, diagnostic.file)
    assert f"The document `j57b` in table `messages` {told}" == diagnostic.message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            'New document in table "messages" does not match the schema: …',
            "A document that is being written in table `messages` does not match the schema: …",
        ),
        ('Failed to delete table "a" because it appears in the schema', None),
        ("", "Documents of table `messages` do not fit the new schema."),
    ],
)
def test_a_failure_without_a_stored_document_is_told_too(error, message):
    assert (message or error) == from_schema_failure(error, "messages", "")[1][0].message


def test_a_components_schema_is_not_the_apps_to_change():
    _, (diagnostic,) = from_schema_failure(DOCUMENT + "Value…", "jobs", "workpool")

    assert diagnostic.file is None
    assert diagnostic.message.startswith("In component `workpool`: ")


@pytest.mark.parametrize("error", ["Object is missing the required field `a`", "Object contains extra field `a`", "x"])
def test_no_hint_says_to_delete_documents(error):
    hint = from_schema_failure(DOCUMENT + error, "messages", "")[1][0].hint

    assert "Delete documents only if the person asks for it." in hint
