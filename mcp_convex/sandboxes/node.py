"""Finds the Node installation that runs the CLI: its program, its npm, and the folders that both need to read."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mcp_convex.domain.errors import ToolMissing

OLDEST_NODE = 20
_PACKAGE_TREES = (Path("/nix/store"), Path("/home/linuxbrew/.linuxbrew"), Path("/opt/homebrew"))
"""Where a program's libraries lie beside its own folder."""
_SECONDS_TO_ANSWER = 20


@dataclass(frozen=True, slots=True)
class NodeInstallation:
    program: Path
    """Itself, not a version manager's stand-in for it."""
    readable: tuple[Path, ...]

    def npm(self) -> Path:
        """
        Return the npm that belongs to this Node: a script for it to run.

        Raises:
            ToolMissing: There is none.
        """
        for place in (self.program.parent.parent / "lib/node_modules/npm/bin/npm-cli.js", shutil.which("npm")):
            if place is not None and (script := Path(place).resolve()).suffix == ".js" and script.is_file():
                return script
        raise ToolMissing(
            "The workspace's packages have to be installed, and there is no `npm` on the PATH.",
            next_step="Install npm, which comes with Node from nodejs.org.",
        )


def find_node() -> NodeInstallation:
    """
    Return the Node on the PATH; the first call of a process takes the time that Node needs to start.

    Raises:
        ToolMissing: There is none, or it is older than the CLI needs.
    """
    if (found := shutil.which("node")) is None:
        raise ToolMissing(
            "The Convex CLI needs Node, and there is no `node` on the PATH.",
            next_step=f"Install Node {OLDEST_NODE} or newer.",
        )
    return _examined(found)


@cache
def _examined(found: str) -> NodeInstallation:
    try:
        answer = subprocess.run(  # noqa: S603 - the program is the person's own Node
            [found, "-p", "process.version + process.execPath"],
            capture_output=True,
            check=False,
            timeout=_SECONDS_TO_ANSWER,
        ).stdout.decode()
    except (OSError, subprocess.TimeoutExpired):
        answer = ""
    version, slash, path = answer.strip().partition("/")
    major = version.removeprefix("v").partition(".")[0]
    if not slash or not major.isdigit() or int(major) < OLDEST_NODE:
        raise ToolMissing(
            f"The Convex CLI needs Node {OLDEST_NODE} or newer, and `{found}` is {version or 'no Node'}.",
            next_step=f"Install Node {OLDEST_NODE} or newer.",
        )
    program = Path(slash + path)
    return NodeInstallation(program, _readable(program))


def _readable(program: Path) -> tuple[Path, ...]:
    """Return what *program* needs to read, and no more: its prefix only where that is an installation of Node."""
    prefix = program.parent.parent
    home = prefix if (prefix / "include/node").is_dir() or (prefix / "lib/node_modules").is_dir() else program
    if home == prefix and Path.home().is_relative_to(prefix):
        home = program
    return (home, *(tree for tree in _PACKAGE_TREES if program.is_relative_to(tree)))
