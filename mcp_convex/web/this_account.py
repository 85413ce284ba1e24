"""Whose browser it is, where pages are served on this machine only: the account at the other end of the connection."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import anyio.to_thread

from mcp_convex.domain.models import LOCAL_PRINCIPAL, PrincipalId
from mcp_convex.domain.ports import PagePerson, Visit

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LOCAL, _REMOTE, _UID = 1, 2, 7
"""Columns of those tables (proc(5)); all numbers but the uid are in hex."""
_ROOT = 0


class ThisAccount(PagePerson):
    """
    Knows the account that this server runs under, by the owner of the browser's socket.

    Linux tells it. Elsewhere whoever reaches the loopback address is taken for the person.
    """

    def __init__(self, accounts: Collection[int] | None = None) -> None:
        # Root reads this account's files anyhow, and what forwards ports for a virtual machine often runs as root.
        self._accounts = frozenset({os.getuid(), _ROOT}) if accounts is None else accounts

    async def who(self, visit: Visit) -> PrincipalId | None:
        if not ipaddress.ip_address(visit.browser[0]).is_loopback:
            return None
        if sys.platform != "linux":
            return LOCAL_PRINCIPAL
        owner = await anyio.to_thread.run_sync(_owner, visit)
        return LOCAL_PRINCIPAL if owner in self._accounts else None


def _owner(visit: Visit) -> int | None:
    """Return the uid that owns the browser's end of the connection; None where it is gone, or not on this machine."""
    ends = set(zip(_in_hex(visit.browser), _in_hex(visit.server), strict=True))
    return next((uid for local, remote, uid in _connections() if (local, remote) in ends), None)


def _connections() -> Iterator[tuple[str, str, int]]:
    for table in _TABLES:
        for line in _lines(table):
            columns = line.split()
            yield columns[_LOCAL], columns[_REMOTE], int(columns[_UID])


def _lines(table: str) -> list[str]:
    try:
        return Path(table).read_text(encoding="ascii").splitlines()[1:]
    except FileNotFoundError:  # a kernel without IPv6
        return []


def _in_hex(end: tuple[str, int]) -> tuple[str, ...]:
    """Return *end* as the kernel prints it: words of 4 bytes in this machine's byte order; IPv4 also as mapped."""
    address = ipaddress.ip_address(end[0])
    raw = address.packed
    forms = [raw] if address.version == 6 else [raw, b"\0" * 10 + b"\xff\xff" + raw]  # noqa: PLR2004 - IPv6
    return tuple(f"{_words(form)}:{end[1]:04X}" for form in forms)


def _words(raw: bytes) -> str:
    words = (raw[at : at + 4] for at in range(0, len(raw), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
