"""What every confined program may read of the system: programs, libraries and names, and no file of a person."""

from __future__ import annotations

from pathlib import Path

SYSTEM = tuple(
    Path(path)
    for path in (
        "/usr",
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
        "/etc/alternatives",
        "/etc/ca-certificates",
        "/etc/crypto-policies",
        "/etc/gai.conf",
        "/etc/group",
        "/etc/host.conf",
        "/etc/hosts",
        "/etc/ld.so.cache",
        "/etc/ld.so.conf",
        "/etc/ld.so.conf.d",
        "/etc/localtime",
        "/etc/nsswitch.conf",
        "/etc/passwd",
        "/etc/pki",
        "/etc/protocols",
        "/etc/resolv.conf",
        "/etc/services",
        "/etc/ssl",
    )
)

AUTOGROUP = "/proc/self/autogroup"
"""Where Linux may weigh sessions first, and processes by niceness only within one; it refuses who asks often."""

LIMITS = "{ ulimit -c 0; ulimit -f 4194304; ulimit -n 4096; } 2>/dev/null; umask 077"
"""As a shell says it: no core dumps, 2 GiB a file, 4096 open files, and new files for the owner only."""


def lowered(niceness: int) -> tuple[str, ...]:
    """Return what stands before a command line, so that its program yields to others by *niceness*."""
    return ("nice", "-n", str(niceness)) if niceness else ()
