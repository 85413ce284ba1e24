"""The client's side of the demo: makes the calls, shows them, and compares what comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mcp import Client
from mcp.types import CallToolResult, TextContent
from rich.console import Console
from rich.markup import escape
from rich.table import Table

_SHOWN = 110


class Differs(Exception):
    """Something came out otherwise than the script expects."""


class Stage:
    """One playing of the script."""

    def __init__(self, client: Client, console: Console) -> None:
        self._client = client
        self._console = console
        self._stage_since = (0.0, "")
        self.calls = 0
        self.spent_s = 0.0
        self.installing_s = 0.0
        self.last_answer = ""

    def say(self, text: str) -> None:
        """Announce what comes next."""
        self._console.print(f"\n[bold cyan]{text}[/]")

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call *tool*, show the call, its progress and its time in a line, and return the structured content."""
        self._console.print(f"  [bold]{tool}[/] {escape(_short(arguments or {}))}", end="")
        started = time.monotonic()
        result = await self._client.call_tool(tool, dict(arguments or {}), progress_callback=self._on_progress)
        took = time.monotonic() - started
        self.calls += 1
        self.spent_s += took
        self._console.print(f"  [dim]{took * 1000:.0f} ms[/]")
        self.last_answer = "\n".join(part.text for part in result.content if isinstance(part, TextContent))
        return self._content(tool, result)

    def show(self, text: str) -> None:
        """Show a line of what came back."""
        self._console.print(f"    {text}", markup=False)

    def table(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show *rows* as a table."""
        columns = list(rows[0]) if rows else []
        table = Table(*columns, title=title, title_justify="left")
        for row in rows:
            table.add_row(*(str(row.get(column)) for column in columns))
        self._console.print(table)

    def expect(self, claim: str, *, holds: bool) -> None:
        """
        Go on if the claim holds.

        Raises:
            Differs: It does not.
        """
        if not holds:
            raise Differs(claim)
        self._console.print(f"    [green]✓[/] {claim}")

    def _content(self, tool: str, result: CallToolResult) -> dict[str, Any]:
        content: dict[str, Any] | None = result.structured_content
        if content is None:
            raise Differs(f"`{tool}` answered without structured content")
        if "error" in content:
            raise Differs(f"`{tool}` failed: {content['error']['message']} {content['error']['next_step']}")
        return content

    async def _on_progress(self, progress: float, total: float | None, message: str | None) -> None:
        del progress, total  # what is being done tells more
        before_s, before = self._stage_since
        self._stage_since = (time.monotonic(), message or "")
        if before == "installing":
            self.installing_s += time.monotonic() - before_s
        self._console.print(f" [dim]· {message}[/]", end="")


def _short(arguments: Mapping[str, Any]) -> str:
    text = json.dumps(arguments, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
