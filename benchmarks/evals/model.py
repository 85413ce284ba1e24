"""A real model as the agent: Anthropic's Messages API, with the server's tools as an MCP host shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anthropic import APIError, AsyncAnthropic
from anthropic.types import Message, MessageParam, ToolParam, ToolResultBlockParam, ToolUseBlock
from mcp.types import TextContent

from benchmarks.evals.fitting import filled
from benchmarks.evals.hands import Answer, Hands
from benchmarks.evals.transcript import Transcript

if TYPE_CHECKING:
    from mcp import Client

    from benchmarks.evals.stage import Stage
    from benchmarks.evals.tasks import Task

DEFAULT_MODEL = "claude-sonnet-5-5"
RETRIES = 8
"""Of a request that was refused for now (429, 529) or lost; the client waits as long as `retry-after` says."""

_SYSTEM = """\
You are a coding agent in a person's project. You reach the project and its backend only through the tools of an \
MCP server. Do all that the person asks for, with exactly the names that they give, and prove that it works. Nobody \
answers questions in the chat; where a tool asks the person, they answer there. When all is done, say so in one line.

What the server says of itself:
"""
_LIST = "list_mcp_resources"
_READ = "read_mcp_resource"
_HOSTS_OWN: tuple[ToolParam, ...] = (
    {
        "name": _LIST,
        "description": "List the resources of the MCP server.",
        "input_schema": {"type": "object", "properties": {}},
    },
    {
        "name": _READ,
        "description": "Read a resource of the MCP server.",
        "input_schema": {"type": "object", "properties": {"uri": {"type": "string"}}, "required": ["uri"]},
    },
)


@dataclass(frozen=True)
class Bounds:
    """How much a model may spend on one task."""

    turns: int = 40
    tokens: int = 16_000
    """Of one answer."""


async def unusable(api: AsyncAnthropic, model: str) -> str | None:
    """Return why *model* cannot be had with the key of *api*, if it cannot; asking costs nothing."""
    try:
        await api.models.retrieve(model)
    except APIError as exc:
        return f"`{model}` cannot be had: {_reason(exc)}"
    return None


class ModelAgent:
    """Plays tasks with a model, and keeps a transcript of each."""

    def __init__(self, api: AsyncAnthropic, model: str, transcripts: Path, bounds: Bounds | None = None) -> None:
        self._api = api
        self._model = model
        self._transcripts = transcripts
        self._bounds = bounds or Bounds()

    async def __call__(self, task: Task, stage: Stage) -> str | None:
        """Work on *task* until the model says that it is done; return why it stopped if it did before."""
        secrets = (*stage.secrets, self._api.api_key or "")
        transcript = Transcript(self._transcripts / f"{task.name}.jsonl", secrets)
        request = await _request(task, stage)
        transcript.add(task=task.name, model=self._model, request=request)
        talk = _Talk(self._api, self._model, self._bounds, await _opening(stage.client))
        stopped = await _work(talk, request, stage.hands, transcript)
        transcript.add(stopped=stopped, tally=stage.hands.tally)
        return stopped


async def _request(task: Task, stage: Stage) -> str:
    said = str(filled(task.request, stage.known))
    if task.prompt is None:
        return said
    prompt = await stage.client.get_prompt(task.prompt.name, task.prompt.arguments)
    texts = [message.content.text for message in prompt.messages if isinstance(message.content, TextContent)]
    return "\n\n".join([*texts, said])


@dataclass(frozen=True)
class _Talk:
    """What stays the same in every request of one conversation."""

    api: AsyncAnthropic
    model: str
    bounds: Bounds
    opening: tuple[str, Sequence[ToolParam]]

    async def answer(self, messages: list[MessageParam]) -> Message:
        system, tools = self.opening
        return await self.api.messages.create(
            model=self.model,
            max_tokens=self.bounds.tokens,
            system=system,
            tools=tools,
            messages=messages,
            cache_control={"type": "ephemeral"},
        )


async def _opening(client: Client) -> tuple[str, Sequence[ToolParam]]:
    tools: list[ToolParam] = [
        {"name": tool.name, "description": tool.description or "", "input_schema": tool.input_schema}
        for tool in (await client.list_tools()).tools
    ]
    return f"{_SYSTEM}{client.instructions}", (*tools, *_HOSTS_OWN)


async def _work(talk: _Talk, request: str, hands: Hands, transcript: Transcript) -> str | None:
    messages: list[MessageParam] = [{"role": "user", "content": request}]
    for _ in range(talk.bounds.turns):
        try:
            answer = await talk.answer(messages)
        except APIError as exc:
            return f"the API fails: {_reason(exc)}"
        transcript.add(answer=answer.to_dict())
        hands.tally.tokens_read += _tokens_read(answer)
        hands.tally.tokens_written += answer.usage.output_tokens
        messages.append({"role": "assistant", "content": answer.content})
        if answer.stop_reason != "tool_use":
            return None if answer.stop_reason == "end_turn" else answer.stop_reason
        results = [await _result(block, hands) for block in answer.content if isinstance(block, ToolUseBlock)]
        transcript.add(results=results)
        messages.append({"role": "user", "content": results})
    return f"was not done after {talk.bounds.turns} turns"


async def _result(call: ToolUseBlock, hands: Hands) -> ToolResultBlockParam:
    answer = await _answer(call.name, call.input, hands)
    return {"type": "tool_result", "tool_use_id": call.id, "content": answer.text, "is_error": answer.is_error}


async def _answer(name: str, args: dict[str, Any], hands: Hands) -> Answer:
    if name == _LIST:
        return await hands.list_resources()
    if name == _READ:
        return await hands.read(str(args.get("uri")))
    return await hands.call(name, args)


def _tokens_read(answer: Message) -> int:
    usage = answer.usage
    return usage.input_tokens + (usage.cache_creation_input_tokens or 0) + (usage.cache_read_input_tokens or 0)


def _reason(exc: APIError) -> str:
    return f"{type(exc).__name__}, {exc.message}"
