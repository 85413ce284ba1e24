"""A TCP port in front of a unix socket, on whose bytes tests lay a hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def wire(socket: Path, answered: Callable[[bytes], bytes]) -> AsyncIterator[int]:
    """Serve a port of this machine, and pass what comes back from *socket* through *answered*."""
    passing: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing.add(asyncio.current_task())
        far_reader, far_writer = await asyncio.open_unix_connection(socket)
        ways = _pass(reader, far_writer, bytes), _pass(far_reader, writer, answered)
        try:
            await asyncio.gather(*ways)
        finally:
            writer.close()
            far_writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, through: Callable[[bytes], bytes]) -> None:
    while data := await reader.read(65536):
        writer.write(through(data))
        await writer.drain()
    writer.close()
