"""
The prompts that a person may pick, one Markdown file each: the title, what it is for, its arguments, what to do.

An argument is a line such as "- `table`: The table's name. Without it: the table that they name". In the text,
`{table}` stands for it. All may be left out: then the last words of that line stand there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp.server.mcpserver.prompts.base import Prompt, PromptArgument

_ARGUMENT = re.compile(r"- `(?P<name>\w+)`: (?P<description>.+?) Without it: (?P<otherwise>.+)")


@dataclass(frozen=True, slots=True)
class _Argument:
    name: str
    description: str
    otherwise: str


def read_prompts(folder: Path) -> list[Prompt]:
    """Return the prompts in *folder*, each named after its file."""
    return [_prompt(file.stem, file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.md"))]


def _prompt(name: str, text: str) -> Prompt:
    title, purpose, body = text.split("\n\n", 2)
    first, _, rest = body.partition("\n\n")
    arguments = [_Argument(**found.groupdict()) for line in first.splitlines() if (found := _ARGUMENT.fullmatch(line))]
    steps = rest if arguments else body

    def say(**given: str) -> str:
        return "\n\n".join([title, purpose, _filled(steps, arguments, given)])

    return Prompt(
        name=name,
        title=title.removeprefix("# "),
        description=" ".join(purpose.split("\n")),
        arguments=[PromptArgument(name=each.name, description=each.description) for each in arguments],
        fn=say,
        context_kwarg=None,
    )


def _filled(text: str, arguments: list[_Argument], given: Mapping[str, str]) -> str:
    for each in arguments:
        value = given.get(each.name, "").strip()
        text = text.replace(f"{{{each.name}}}", f"`{value}`" if value else each.otherwise)
    return text
