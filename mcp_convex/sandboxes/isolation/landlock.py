"""Confinement by Landlock: the kernel refuses files outside the named folders, and TCP where asked."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from mcp_convex.domain.ports import Launch
from mcp_convex.sandboxes.isolation.system import SYSTEM

_CREATE_RULESET, _ADD_RULE = 444, 445
_VERSION = 1
_PATH_BENEATH = 1

# Bits of handled_access_fs, linux/landlock.h.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
_KNOWN_BITS = ((1, 13), (2, 14), (3, 15), (5, 16))
"""Since which version of the interface how many bits of it are known."""
_NETWORK_SINCE, _TCP = 4, 0b11
_SCOPES_SINCE, _SIGNALS_AND_ABSTRACT_SOCKETS = 6, 0b11

_DEVICES = tuple(Path("/dev", name) for name in ("null", "zero", "full", "random", "urandom"))
_PROC = tuple(Path("/proc", name) for name in ("cpuinfo", "meminfo", "stat", "version", "sys/vm/overcommit_memory"))


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


@cache
def version() -> int:
    """Return the version of Landlock's interface that this kernel has, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, _syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION)))


def ruleset(launch: Launch, *, readable: Sequence[Path] = ()) -> int:
    """
    Return a file descriptor of the rules under which *launch* runs; the caller closes it.

    Raises:
        OSError: The kernel refuses the rules.
    """
    handled = (1 << next(bits for since, bits in reversed(_KNOWN_BITS) if version() >= since)) - 1
    rules = _Ruleset(
        handled_access_fs=handled,
        handled_access_net=_TCP if not launch.network and version() >= _NETWORK_SINCE else 0,
        scoped=_SIGNALS_AND_ABSTRACT_SOCKETS if version() >= _SCOPES_SINCE else 0,
    )
    fd = _syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), ctypes.c_uint32(0))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    for path, access in _rules(launch, readable, handled):
        _allow(fd, path, access)
    return fd


def _rules(launch: Launch, readable: Sequence[Path], handled: int) -> Iterator[tuple[Path, int]]:
    for path in (*SYSTEM, *_PROC, *readable, *launch.readable):
        yield path, _READ & handled
    for path in launch.listable:
        yield path, _READ_DIR & handled
    for path in (*launch.writable, *launch.mounts, *_DEVICES):
        yield path, handled


def _allow(ruleset_fd: int, path: Path, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rule = _PathBeneath(access if path.is_dir() else access & _OF_FILES, fd)
        if _syscall(_ADD_RULE, ctypes.c_int(ruleset_fd), _PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0)) < 0:
            raise OSError(ctypes.get_errno(), "landlock_add_rule", str(path))
    finally:
        os.close(fd)


def _syscall(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return int(libc.syscall(ctypes.c_long(number), *arguments))
