"""The agent's hands: the one way to the server that scripts and models have, where everything is counted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mcp import Client, MCPError
from mcp.types import TextContent, TextResourceContents


@dataclass(slots=True)
class Tally:
    """What an agent has done so far."""

    calls: int = 0
    bytes_sent: int = 0
    """Of arguments, as JSON."""
    bytes_read: int = 0
    """Of answers, as the text that a model reads."""
    pushes: list[bool] = field(default_factory=list[bool])
    """For each push, whether it went live; previews left out."""
    tokens_read: int = 0
    tokens_written: int = 0

    @property
    def first_push_green(self) -> bool:
        return self.pushes[:1] == [True]

    @property
    def pushes_to_green(self) -> int | None:
        return self.pushes.index(True) + 1 if True in self.pushes else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: in words, and as data."""

    text: str
    data: Any
    is_error: bool = False


class Hands:
    def __init__(self, client: Client) -> None:
        self._client = client
        self.tally = Tally()

    async def call(self, tool: str, args: dict[str, Any]) -> Answer:
        """Call *tool*. Nothing that it answers is an exception."""
        try:
            result = await self._client.call_tool(tool, args)
        except MCPError as exc:
            answer = Answer(exc.error.message, None, is_error=True)
        else:
            text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
            answer = Answer(text, result.structured_content, is_error=bool(result.is_error))
        if tool == "push" and not args.get("preview") and (outcome := outcome_of(answer)):
            self.tally.pushes.append(outcome == "pushed")
        return self._counted(json.dumps(args, ensure_ascii=False), answer)

    async def read(self, uri: str) -> Answer:
        """Read the resource at *uri*. Nothing that it answers is an exception."""
        try:
            result = await self._client.read_resource(uri)
        except MCPError as exc:
            return self._counted(uri, Answer(exc.error.message, None, is_error=True))
        text = "\n".join(each.text for each in result.contents if isinstance(each, TextResourceContents))
        return self._counted(uri, Answer(text, _parsed(text)))

    async def list_resources(self) -> Answer:
        """List resources and templates of resources."""
        fixed, made = await self._client.list_resources(), await self._client.list_resource_templates()
        found = [{"uri": each.uri, "description": each.description} for each in fixed.resources]
        found += [{"uri": each.uri_template, "description": each.description} for each in made.resource_templates]
        return self._counted("", Answer(json.dumps(found, ensure_ascii=False), found))

    def _counted(self, sent: str, answer: Answer) -> Answer:
        self.tally.calls += 1
        self.tally.bytes_sent += len(sent.encode())
        self.tally.bytes_read += len(answer.text.encode())
        return answer


def outcome_of(answer: Answer) -> str | None:
    """Return what came of a push; None of anything else, and of a push that did not begin."""
    return answer.data.get("outcome") if isinstance(answer.data, dict) else None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
