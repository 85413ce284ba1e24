"""Real outputs of the CLI, the compilers and npm, each with what it is read as."""

from __future__ import annotations

import re

import pytest
from inline_snapshot import external_file

from mcp_convex.domain.diagnostics import parse_output
from tests.domain.diagnostics.readings import HERE, OUTPUTS, ROOT, output, written


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_is_read_as_it_was(name):
    """A reading that changed is accepted with `pytest --inline-snapshot=fix`."""
    assert external_file(HERE / "expected" / f"{name}.txt") == written(output(name))


@pytest.mark.parametrize(
    ("name", "failure", "code"),
    [
        ("01_success", None, None),
        ("02_tserror", "source", "TS2322"),
        ("03_syntax", "source", "syntax_error"),
        ("04_unresolved", "source", "unresolved_import"),
        ("esbuild_node_builtin", "source", "node_builtin"),
        ("06_analyze", "source", "InvalidModules"),
        ("schema_no_match", "data_mismatch", "SchemaValidationFailed"),
        ("08_missingenv", "env_missing", "MissingEnvironmentVariables"),
        ("server_env_auth", "env_missing", "AuthConfigMissingEnvironmentVariable"),
        ("10_badkey_401", "auth", "BadDeployKey"),
        ("16_denied_403", "auth", "OperationNotPermitted"),
        ("12_race", "conflict", "SchemaOverwritten"),
        ("finish_race", "conflict", "RaceDetected"),
        ("11_500", "transient", "InternalServerError"),
        ("19_429", "transient", "TooManyConcurrentRequests"),
        ("50_nologs_403", "auth", "OperationNotPermitted"),
        ("13_unreachable", "transient", "unreachable"),
        ("40_prefix", "tooling", "NotFound"),
        ("tsc_no_tsconfig", "source", "tsconfig_missing"),
        ("tsc_no_compiler", "tooling", "compiler_missing"),
    ],
)
def test_each_way_in_which_the_cli_ends_has_its_class_and_code(name, failure, code):
    """The exit code says little: it is 0 after a 403 and after a lost race, and there is none after a 500."""
    found, diagnostics = parse_output(output(name), ROOT)

    assert (failure, code) == (found, diagnostics[0].code if diagnostics else None)


@pytest.mark.parametrize("name", [name for name in OUTPUTS if "Convex functions ready!" in output(name)])
def test_a_success_is_left_to_the_gate_to_confirm(name):
    assert (None, ()) == parse_output(output(name), ROOT)


def test_a_success_after_a_repeated_attempt_forgets_the_failure():
    failed = output("push_500")

    assert (None, ()) == parse_output(failed + output("01_success"), ROOT)


def test_words_of_success_inside_an_error_do_not_hide_it():
    text = output("tsc_one_error").replace('"x";', '"✔ 01:24:42 Convex functions ready! (1s)";')

    assert "source" == parse_output(text, ROOT)[0]


def test_an_attempt_that_was_cut_off_leaves_the_one_before_it():
    text = output("push_429") + "- Preparing Convex functions...\n"

    assert "transient" == parse_output(text, ROOT)[0]


def test_text_that_nobody_knows_is_not_guessed_at():
    assert (None, ()) == parse_output("✖ A sentence from a later version.\n", ROOT)


@pytest.mark.parametrize("name", OUTPUTS)
def test_no_path_of_the_machine_is_a_diagnostics_file(name):
    files = [diagnostic.file for diagnostic in parse_output(output(name), ROOT)[1] if diagnostic.file]

    assert [] == [file for file in files if re.match(r"/|\.\.|[A-Z]:", file)]


def test_paths_are_relative_to_a_stage_that_is_not_named_convex():
    text = "/stage-1/src/a.ts(3,4): error TS2322: No.\n"

    assert "src/a.ts" == parse_output(text, "/stage-1/")[1][0].file


def test_a_root_is_not_cut_out_of_the_middle_of_a_path():
    text = "/stage/w/convex/a.ts(3,4): error TS2322: No /x/w/y.\n"

    assert "No /x/w/y." == parse_output(text, "/w")[1][0].message


def test_without_a_root_an_absolute_path_is_cut_at_the_functions_folder():
    text = "/stage-1/convex/a.ts(3,4): error TS2322: No.\n/etc/passwd(1,1): error TS2322: No.\n"

    assert ["convex/a.ts", None] == [diagnostic.file for diagnostic in parse_output(text)[1]]
