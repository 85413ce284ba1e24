"""
A process that takes a lease: `holder.py DATABASE NAME TTL_S`.

It waits for a line on standard input, tries once, prints `held` or `refused`, and holds until
standard input ends. A lease that is lost meanwhile is printed as `lost`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
from anyio import to_thread
from pydantic import SecretBytes, SecretStr

from mcp_convex.domain.errors import PushUnderWay
from mcp_convex.store import KeyRing, open_store


async def main(database: str, name: str, ttl_s: str) -> None:
    place = SecretStr(database) if "://" in database else Path(database)
    async with open_store(place, KeyRing((SecretBytes(bytes(32)),))) as store:
        say("ready")
        await to_thread.run_sync(sys.stdin.readline)
        said = "refused"
        try:
            async with store.leases.hold(name, ttl_s=float(ttl_s)):
                say("held")
                said = "lost"
                await to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
                said = "released"
        except PushUnderWay:
            pass
        say(said)


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


anyio.run(main, *sys.argv[1:])
