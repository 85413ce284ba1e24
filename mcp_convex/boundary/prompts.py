"""The prompts that a person may pick: one Markdown file each, the title first, then what it is for, then the rest."""

from __future__ import annotations

from pathlib import Path

from mcp.server.mcpserver.prompts.base import Prompt


def read_prompts(folder: Path) -> list[Prompt]:
    """Return the prompts in *folder*, each named after its file."""
    return [_prompt(file.stem, file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.md"))]


def _prompt(name: str, text: str) -> Prompt:
    title, purpose, _ = text.split("\n\n", 2)

    def say() -> str:
        return text

    return Prompt.from_function(
        say, name=name, title=title.removeprefix("# "), description=" ".join(purpose.split("\n"))
    )
