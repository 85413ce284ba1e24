"""Starts a server as an IDE would, over a workspace of its own, and plays the script against it."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from rich.console import Console
from rich.markup import escape

from mcp_convex.demo.script import script
from mcp_convex.demo.stage import Differs, Stage
from mcp_convex.settings import Settings


async def play(settings: Settings) -> int:
    """Play the whole script; return 0 when everything came out as it expects, else 1."""
    logging.disable(logging.INFO)
    console = Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mcp-convex-demo-", ignore_cleanup_errors=True) as folder:
        workspace = await anyio.Path(folder, "chat").absolute()
        await workspace.mkdir()
        console.print(f"[bold]mcp-convex demo[/]: an empty workspace, the embedded deployment, no account\n{workspace}")
        async with Client(stdio_client(_server(settings, Path(workspace), Path(folder, "data")))) as client:
            stage = Stage(client, console)
            try:
                await script(stage)
            except Differs as exc:
                console.print(f"\n[bold red]Not as expected:[/] {exc}. The last answer:\n{escape(stage.last_answer)}")
                return 1
    took = time.monotonic() - started
    console.print(
        f"\n[bold green]All as expected.[/] {stage.calls} calls took {stage.spent_s:.2f} s of {took:.2f} s; "
        f"{stage.installing_s:.2f} s of it went into installing the packages."
    )
    return 0


def _server(settings: Settings, workspace: Path, data_dir: Path) -> StdioServerParameters:
    flags = ["--workspace", str(workspace), "--data-dir", str(data_dir), "--isolation", settings.isolation]
    return StdioServerParameters(command=sys.executable, args=["-m", "mcp_convex", *flags])
