"""Serving over standard input and output, in a way that this process can end by itself."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mcp.server import MCPServer

_STDIN = 0
_CHUNK = 65_536


async def serve_stdio(server: MCPServer[Any]) -> None:
    """Serve until the client hangs up. A cancellation ends it in the same way: calls end, and services are closed."""
    hang_up = _come_between()
    serving = asyncio.create_task(server.run_stdio_async())
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        hang_up()
        await serving
        raise


def _come_between() -> Callable[[], None]:
    """
    Put a pipe between the client and standard input, and return what closes it.

    The SDK reads lines in a thread, and neither a cancellation nor a signal reaches a thread that waits for a line.
    """
    wire = os.dup(_STDIN)
    source, sink = os.pipe()
    os.dup2(source, _STDIN)
    os.close(source)

    def pass_on() -> None:
        with suppress(OSError):
            while data := os.read(wire, _CHUNK):
                os.write(sink, data)
        hang_up()

    def hang_up() -> None:
        # Another file takes the number over, so that what is still passed on goes nowhere, and not to a stranger.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sink)
        os.close(nowhere)

    threading.Thread(target=pass_on, name="stdin", daemon=True).start()
    return hang_up
