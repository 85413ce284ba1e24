"""The command line: argv in, exit code out."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Sequence

from mcp_convex import logs
from mcp_convex.cli.grammar import parse
from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.secrets import redact
from mcp_convex.settings import describe, load

EXIT_REFUSED = 2
"""What was asked for cannot be done as it stands; the message says what to do."""


def run(argv: Sequence[str]) -> int:
    """Run the command that *argv* names, `serve over stdio` if none, and return the exit code."""
    try:
        args = parse(argv)
        flags = {setting.name: getattr(args, setting.name) for setting in describe() if hasattr(args, setting.name)}
        settings = load(flags, os.environ)
        logs.set_up(settings.log_level, settings.log_format)
        if settings.traces:
            _trace()
        return asyncio.run(_until_signalled(args.command(settings, args)))
    except ConvexMcpError as exc:
        # What was typed may hold a key in the wrong place.
        print(redact(f"mcp-convex: {exc.code}: {exc.message}\nNext step: {exc.next_step}"), file=sys.stderr)  # noqa: T201
        return EXIT_REFUSED
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def _trace() -> None:
    from mcp_convex.telemetry import traces  # noqa: PLC0415 - an extra

    traces.set_up()


async def _until_signalled(work: Coroutine[object, object, int]) -> int:
    """Run *work*; SIGTERM cancels it, so that what it started is ended and given back."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task
