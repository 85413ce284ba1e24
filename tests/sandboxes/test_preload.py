"""What Node loads before the CLI: it saves time, and changes nothing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import mcp_convex.sandboxes
from mcp_convex.sandboxes.node import find_node

PRELOAD = Path(mcp_convex.sandboxes.__file__).with_name("preload.cjs")
SAY_ENV = 'console.log(JSON.stringify([process.env.GOGC, Number(process.env.GOMEMLIMIT) / require("os").totalmem()]))'
FORMATTER = 'exports.format = async (text, options) => console.log(options.parser, text.includes("typeof people"));'


def run_as_the_cli(folder: Path, script: str, *, formatter: str | None = None, **env: str) -> tuple[str, str]:
    """Run *script*, a link to a file beside its *formatter*, and return what it said and what it complained of."""
    packages = folder / "store" / "node_modules"
    packages.mkdir(parents=True)
    if formatter is not None:
        (packages / "prettier.js").write_text(formatter)
    (packages / "cli.cjs").write_text(script)
    (folder / "cli.cjs").symlink_to(packages / "cli.cjs")
    command = [find_node().program, "--require", PRELOAD, "cli.cjs"]
    ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True)  # noqa: S603
    return ended.stdout, ended.stderr


def test_the_formatter_that_the_cli_would_load_is_loaded_once_the_cli_has_been(tmp_path: Path) -> None:
    said, _ = run_as_the_cli(tmp_path, "console.log('loaded')", formatter=FORMATTER)
    assert said == "loaded\ntypescript true\n"


def test_a_cli_without_that_formatter_or_with_a_broken_one_runs_as_it_would_have(tmp_path: Path) -> None:
    for folder, formatter in ((tmp_path / "none", None), (tmp_path / "broken", "throw new Error('no');")):
        folder.mkdir()
        assert run_as_the_cli(folder, "console.log('ran')", formatter=formatter) == ("ran\n", "")


def test_programs_in_go_let_garbage_be_up_to_half_of_the_memory(tmp_path: Path) -> None:
    collected_at, memory = json.loads(run_as_the_cli(tmp_path, SAY_ENV)[0])
    assert (collected_at, round(memory, 6)) == ("400", 0.5)


def test_what_somebody_has_said_about_garbage_stays(tmp_path: Path) -> None:
    assert json.loads(run_as_the_cli(tmp_path, SAY_ENV, GOGC="50", GOMEMLIMIT="0")[0]) == ["50", 0]
