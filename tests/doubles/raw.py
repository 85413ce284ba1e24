"""A client that sends bytes, whatever HTTP says of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import anyio

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@dataclass(frozen=True)
class Exchanged:
    """What came back."""

    received: bytes
    closed: bool
    """Whether the server hung up."""

    @property
    def statuses(self) -> list[int]:
        """Of every answer, in order."""
        return [int(found) for found in _STATUS.findall(self.received)]


async def exchange(origin: str, sent: bytes, *, patience_s: float = 5) -> Exchanged:
    """Send *sent* to the server at *origin* over its own connection, and read until it hangs up or says no more."""
    received = b""
    host, _, port = origin.removeprefix("http://").partition(":")
    async with await anyio.connect_tcp(host, int(port)) as stream:
        try:
            await stream.send(sent)
            with anyio.move_on_after(patience_s):
                while True:
                    received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return Exchanged(received, closed=True)
    return Exchanged(received, closed=False)
