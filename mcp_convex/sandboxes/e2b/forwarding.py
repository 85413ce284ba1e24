"""Carries the connections that a command in the box opens to the gate, over the messages of its job."""

from __future__ import annotations

import asyncio
import base64
from contextlib import suppress
from urllib.parse import urlsplit

import anyio

from mcp_convex.domain.errors import SandboxError
from mcp_convex.sandboxes.e2b.answers import Said
from mcp_convex.sandboxes.e2b.box import SECONDS_TO_END, Job

_PIECE = 256 * 1024
_MOST = 64
"""Connections at a time. The CLI opens a few."""


class Forwarder:
    """The host's end of the forwarding: each connection in the box is one to *gate*, and to nothing else."""

    def __init__(self, gate: str) -> None:
        parts = urlsplit(gate)
        self._address = parts.hostname or "", parts.port or 0
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def hear(self, job: Job, said: Said) -> None:
        """Take what the program says of a connection."""
        if said.open is not None and len(self._writers) < _MOST:
            reader, self._writers[said.open] = await asyncio.open_connection(*self._address)
            task = asyncio.create_task(self._answers(job, said.open, reader))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif said.data is not None:
            await self._write(*said.data)
        elif said.end in self._writers:
            with suppress(OSError):
                self._writers[said.end].write_eof()
        elif said.gone in self._writers:
            self._writers.pop(said.gone).close()

    async def aclose(self) -> None:
        """Close every connection."""
        for task in self._tasks:
            task.cancel()
        for writer in self._writers.values():
            writer.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writers.clear()

    async def _write(self, number: int, data: bytes) -> None:
        if writer := self._writers.get(number):
            with suppress(OSError):
                writer.write(data)
                await writer.drain()

    async def _answers(self, job: Job, number: int, reader: asyncio.StreamReader) -> None:
        try:
            with suppress(OSError):
                while data := await reader.read(_PIECE):
                    await job.send({"data": [number, base64.b64encode(data).decode()]})
            await job.send({"end": number})
        except SandboxError:  # the command is over, or would wait for this for ever
            with anyio.move_on_after(SECONDS_TO_END):
                await job.ended()
            await job.end()
