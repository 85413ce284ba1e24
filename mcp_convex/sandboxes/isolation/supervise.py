"""
Runs one program and ends with it: `python -I -S supervise.py RULESET_FD PROGRAM ARGUMENT…`.

The launcher starts this file as a program of its own, where there is no bubblewrap. It outlives neither
the program nor the server: when either ends (the server's end closes standard input) it kills what the
program has left running, also what called setsid, and exits with the program's exit code.

It imports little, since its start is part of every launch; pathlib alone would double that.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import os
import sys

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 36, 38
_LANDLOCK_RESTRICT_SELF = 446
_SIGKILL = 9
_ON_LINUX = sys.platform == "linux"
_NOT_STARTED = 127


def main(ruleset_fd: int, argv: list[str]) -> int:
    """Run *argv* to its end, and return its exit code."""
    if _ON_LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        _become(argv, ruleset_fd, supervisor)
    os.closerange(3, 1024)
    _thread.start_new_thread(_watch_server, (child,))
    status = os.waitpid(child, 0)[1]
    _kill_left_over(child)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(argv: list[str], ruleset_fd: int, supervisor: int) -> None:
    try:
        os.setsid()
        _weigh_session()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if _ON_LINUX:
            _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
            _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if ruleset_fd >= 0:
            _restrict(ruleset_fd)
        if os.getppid() == supervisor:
            os.execv(argv[0], argv)  # noqa: S606 - no shell is wanted
    except OSError as exc:
        os.write(2, f"{argv[0]} could not be started: {exc.strerror}\n".encode())
    finally:
        os._exit(_NOT_STARTED)


def _weigh_session() -> None:
    """Have the new session weigh as much as its process, where Linux weighs sessions first."""
    if niceness := os.nice(0):
        with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as autogroup:  # noqa: PTH123
            autogroup.write(str(niceness))


def _restrict(ruleset_fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(ctypes.c_long(_LANDLOCK_RESTRICT_SELF), ctypes.c_int(ruleset_fd), ctypes.c_uint32(0)) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(ruleset_fd)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, ctypes.c_ulong(value), 0, 0, 0)


def _watch_server(child: int) -> None:
    os.read(0, 1)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, _SIGKILL)


def _kill_left_over(child: int) -> None:
    if not _ON_LINUX:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, _SIGKILL)
        return
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, os.WNOHANG)  # most often there is nobody left, and no table to read
            for orphan in _children():
                os.kill(orphan, _SIGKILL)
            os.waitpid(-1, 0)


def _children() -> list[int]:
    """Return the processes whose parent is this one; whoever loses its parent below becomes one."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == os.getpid()]  # noqa: PTH208


def _parent(pid: str) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:  # noqa: PTH123
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return None


if __name__ == "__main__":
    os._exit(main(int(sys.argv[1]), sys.argv[2:]))
