"""What may be typed behind `mcp-convex`, and what is said to whoever mistypes it."""

from __future__ import annotations

import pytest

from mcp_convex.cli import EXIT_REFUSED, run
from mcp_convex.cli.grammar import parse
from mcp_convex.settings import describe

WRONG = {
    "--isolatoin none": "There is no option `--isolatoin`; the nearest is `--isolation`.",
    "--isolatoin=none": "There is no option `--isolatoin`; the nearest is `--isolation`.",
    "doctr": "There is no command `doctr`; the nearest is `doctor`.",
    "--isolation none doctr": "There is no command `doctr`; the nearest is `doctor`.",
    "push --previw": "There is no option `--previw`; the nearest is `--preview`.",
    "--isolation none push --isolatoin none": "There is no option `--isolatoin`; the nearest is `--isolation`.",
    "keys rotat": "There is no action `rotat`; the nearest is `rotate`.",
    "keys": "The following arguments are required: action.",
    "demo --isolation": "Argument --isolation: expected one argument.",
    "audit export --since yesterday": "Argument --since: `yesterday` is no date or time such as 2026-11-21.",
    "connect": "One of the arguments --token-file --admin-key-file is required.",
    "doctor dev:otter|c4n4ryc4n4ryc4n4ry": "Unrecognized arguments: [redacted].",
    "serve --token=c4n4ry": "There is no option `--token`; the nearest is `--tokens-file`.",
    "e2b check --e2b-api-key c4n4ry": "set E2B_API_KEY instead.",
    "connect --token-file /nowhere": "`/nowhere` cannot be read.",
    "doctor --listen-port x": "`--listen-port` should be a valid integer, not `x`.",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_mistake_on_the_command_line_is_named_with_what_may_have_been_meant(line, capsys):
    code = run(line.split())

    said = capsys.readouterr().err
    assert EXIT_REFUSED == code
    assert WRONG[line] in said
    assert "c4n4ry" not in said
    assert 2 == len(said.splitlines())
    assert "Next step: " in said


@pytest.mark.parametrize("line", ["--help", "push --help", "keys --help"])
def test_the_help_is_there_and_begins_with_one_line_of_usage(line, capsys):
    with pytest.raises(SystemExit):
        run(line.split())

    usage, blank, *_ = capsys.readouterr().out.splitlines()
    assert usage.startswith("usage: mcp-convex")
    assert not blank


EVERYWHERE = {"log_level", "log_format", "traces"}
OF_A_WORKSPACE = {setting.name for setting in describe() if setting.flag and not setting.only_serve}
TAKES = {
    "": OF_A_WORKSPACE,
    "push": OF_A_WORKSPACE,
    "serve": {setting.name for setting in describe() if setting.flag} - {"workspace", "pages_port", "embedded_port"},
    "demo": EVERYWHERE | {"isolation"},
    "keys": EVERYWHERE | {"data_dir"},
    "audit": EVERYWHERE | {"data_dir", "database_connections"},
    "e2b": EVERYWHERE | {"e2b_template", "e2b_internet", "e2b_api_url", "e2b_sandbox_url"},
    "embedded": EVERYWHERE | {"data_dir", "workspace", "isolation", "embedded_port"},
}


@pytest.mark.parametrize("command", TAKES)
def test_the_help_of_a_command_lists_the_settings_that_it_goes_by_and_no_others(command, capsys):
    with pytest.raises(SystemExit):
        run([*command.split(), "--help"])

    _, _, said = capsys.readouterr().out.partition("\nsettings:\n")
    listed = {setting.name for setting in describe() if f"[{setting.env}]" in " ".join(said.split())}
    assert TAKES[command] == listed


def test_a_setting_that_a_command_does_not_go_by_may_be_named_all_the_same():
    assert "8000" == parse(["push", "--listen-port", "8000"]).listen_port
