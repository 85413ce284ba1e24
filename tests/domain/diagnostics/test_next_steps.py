"""What an agent is told to do: a hint for each diagnostic, a next step for each outcome."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from mcp_convex.domain.diagnostics import hint_for, next_step, parse_output
from mcp_convex.domain.diagnostics.repairs_of_push import REPAIRS as OF_PUSH
from mcp_convex.domain.diagnostics.repairs_of_sources import REPAIRS as OF_SOURCES
from mcp_convex.domain.pushes import Diagnostic, FailureClass
from tests.domain.diagnostics.readings import OUTPUTS, ROOT, output

TOOLS = {
    *("write_files", "push", "check_files", "run_function", "read_logs", "connect"),
    *("request_env_var", "set_env_vars", "unset_env_vars"),
}


def tools_named_in(text: str) -> set[str]:
    return {word for word in re.findall(r"`(\w+)`", text) if "_" in word or word in TOOLS}


@pytest.mark.parametrize("failure", get_args(FailureClass))
def test_each_class_of_failure_has_one_imperative_sentence(failure):
    step = next_step("failed", failure, ())

    assert re.fullmatch(r"[A-Z][a-z]+ .*\.", step)
    assert not re.search(r"\.\s+[A-Z]", step)


@pytest.mark.parametrize("failure", sorted(set(get_args(FailureClass)) - {"quota", "tooling"}))
def test_each_class_that_an_agent_can_do_something_about_names_our_tools(failure):
    named = tools_named_in(next_step("failed", failure, ()))

    assert named
    assert named <= TOOLS


@pytest.mark.parametrize(("outcome", "tool"), [("pushed", "run_function"), ("previewed", "push"), ("checked", "push")])
def test_each_success_leads_on(outcome, tool):
    assert tool in tools_named_in(next_step(outcome, None, ()))


def diagnostic(file: str | None, line: int | None = None, message: str = "x") -> Diagnostic:
    return Diagnostic(file=file, line=line, code="x", message=message, source="tsc")


@pytest.mark.parametrize(
    ("diagnostics", "place"),
    [
        ([diagnostic("convex/a.ts", 3)], "`convex/a.ts` line 3 with"),
        ([diagnostic("convex/a.ts", 3), diagnostic("convex/b.ts")], "`convex/a.ts` line 3 and the other error with"),
        ([diagnostic("convex/a.ts")] * 3, "`convex/a.ts` and the other 2 errors with"),
        ([diagnostic("node_modules/x/a.js", 1)], "what the diagnostics say with"),
        ([], "what the diagnostics say with"),
    ],
)
def test_the_next_step_names_the_first_place_that_can_be_mended(diagnostics, place):
    assert f"Mend {place} `write_files`, then call `push` again." == next_step("rejected", "source", diagnostics)


def test_the_next_step_names_the_env_vars():
    diagnostics = parse_output(output("08_missingenv"), ROOT)[1]

    assert next_step("rejected", "env_missing", diagnostics).startswith("Give `OPENAI_API_KEY`, `STRIPE_KEY` with ")


@pytest.mark.parametrize("name", OUTPUTS)
def test_each_diagnostic_that_was_ever_seen_has_a_hint(name):
    diagnostics = parse_output(output(name), ROOT)[1]

    assert [] == [each.code for each in diagnostics if not each.hint and each.code != "SomethingBrandNew"]


@pytest.mark.parametrize(
    ("code", "message", "snippet", "hint"),
    [
        ("TS2345", "Argument of type '\"nope\"' is not…", 'ctx.db.query("nope")', "no table `nope`"),
        ("TS2345", "Argument of type '\"by_x\"' is not…", 'q.withIndex("by_x", (q) => q)', "no index `by_x`"),
        ("TS2345", "…parameter of type 'Id<\"users\">'.", None, '`v.id("users")`'),
        ("TS2339", "Property 'nowhere' does not exist…", "api.nowhere.list", "`api.messages.send` is `send`"),
        ("TS2339", "Property 'db' does not exist on type 'GenericActionCtx<…", None, "`ctx.runQuery`"),
        ("TS2339", "Property 'glob' does not exist on type 'ImportMeta'.", None, "vite/client"),
        (
            "unresolved_import",
            'resolve "@a/b/c"\n"./c" is not exported by package "@a/b"',
            None,
            "The installed `@a/b`",
        ),
        ("missing_export", 'No matching export in "../node_modules/@acme/mail/index.js" for…', None, "`@acme/mail`"),
        ("TS2593", "Cannot find name 'describe'. Do you need to…", None, "Import `describe` from `vitest`"),
        ("TS2307", "Cannot find module './_generated/api'…", None, "`push` and `check_files` write it"),
        ("TS2307", "Cannot find module '@scope/pkg/deep'…", None, "Add `@scope/pkg` to `dependencies`"),
        ("InvalidConfig", "convex/auth.config.ts: A must be an HTTPS URL", None, "the env var that it reads"),
        ("TS7022", "'x' implicitly has type 'any'…", None, "annotate the handler"),
        ("TS2551", "Property 'x' does not exist… Did you mean 'y'?", None, "Write `y`."),
        ("unresolved_import", 'Could not resolve "zod/v4"', None, "Add `zod` to `dependencies`"),
    ],
)
def test_a_hint_says_the_smallest_repair(code, message, snippet, hint):
    assert hint in hint_for(code, message, snippet=snippet)


OF_THE_CLI = """confirmation_needed package_json_missing package_json_invalid convex_not_a_dependency
    external_package_invalid convex_json_invalid use_node_not_allowed use_node_in_component use_node_missing
    reserved_folder two_auth_configs invalid_component_directory component_not_found tsconfig_missing compiler_missing
    compiler_ended compiler_failed node_too_old generated_elsewhere cli_crashed disk_full cli_too_old unknown_setting
    https_file file_changed program_crashed not_signed_in unreachable"""
OF_THE_BUNDLER = """node_builtin missing_export duplicate_export duplicate_declaration missing_loader
    assignment_to_constant await_outside_async top_level_await invalid_json syntax_error different-path-case"""
OF_THE_DEPLOYMENT = """InvalidModules InvalidConfig InvalidFunctionName InvalidSchemaExport MissingSchemaExportError
    InvalidTableName IndexNameReserved IndexNotUnique IndexFieldsContainId IndexFieldsContainCreationTime InvalidCron
    InvalidAuthConfig InvalidConvexConfig InvalidDefinition InvalidEnvVarDeclaration InvalidExternalModules
    SchemaValidationFailed SchemaEnforcementError SchemaOverwritten RaceDetected ConcurrentPush ModulesTooLarge
    EnvironmentVariableValueTooLarge ProjectQuotaReached DeploymentPaused OperationNotPermitted BadDeployKey
    AccessTokenInvalid ClientVersionUnsupported NodeVersionNotSupported InternalServerError Overloaded RateLimited
    http_401 http_402 http_403 http_404 http_409 http_413 http_429 http_503"""
OF_THE_GATE = """cli_deprecated convex_unreachable answer_cut_off no_answer unexpected_answer deadline
    finish_unconfirmed push_too_large unexpected_request gate_failed"""
OF_NPM = "npm_E404 npm_ETARGET npm_ERESOLVE npm_EJSONPARSE npm_EUSAGE npm_ECONNRESET npm_EINTEGRITY npm_EBADENGINE"


@pytest.mark.parametrize("code", f"{OF_THE_CLI} {OF_THE_BUNDLER} {OF_THE_DEPLOYMENT} {OF_THE_GATE} {OF_NPM}".split())
def test_each_class_has_a_hint_whatever_its_message_says(code):
    assert hint_for(code, "")


def test_what_nobody_foresaw_has_no_hint():
    assert hint_for("SomethingBrandNew", "A rule that this server has never heard of.") is None


@pytest.mark.parametrize("repair", [*OF_SOURCES, *OF_PUSH], ids=lambda repair: repair.codes[:40])
def test_each_repair_is_told_in_sentences_and_names_only_tools_that_exist(repair):
    assert re.fullmatch(r"(?:\w|`).*[.`]", repair.text)
    assert tools_named_in(repair.text) - {"my_messages", "by_author", "_creationTime", "_id", "_deps"} <= TOOLS
