"""How a declared tool becomes one of the SDK's: arguments are strict, answers come in words and in data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from inspect import getdoc
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import ToolManager
from mcp.server.mcpserver.tools.base import Tool
from mcp.types import CallToolResult, InputRequiredResult, TextContent
from pydantic import BaseModel, ConfigDict, JsonValue
from typing_extensions import override

from mcp_convex.boundary.hosting import SERVING
from mcp_convex.boundary.spec import PANEL, Effect, ToolSpec
from mcp_convex.domain.pushes import CheckResult, PushResult


class ConvexTool(Tool):
    """A tool whose answer is rendered for the reader and sent whole for the program."""

    @override
    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> CallToolResult | InputRequiredResult:
        """Run the tool. The SDK's own conversion would send the same JSON twice, so it is not asked for."""
        del convert_result
        return _answer(await super().run(arguments, context, convert_result=False), _notes())


class LateTools(ToolManager):
    """The declared tools, made the SDK's at the first need: their schemas take longer than all else of a start."""

    def __init__(self, specs: Callable[[], Sequence[ToolSpec]]) -> None:
        super().__init__()
        self._specs = specs
        del self._tools

    def names(self) -> Sequence[str]:
        """Return the names of the declared tools."""
        return [spec.name for spec in self._declared]

    def effect_of(self, tool: str) -> Effect | None:
        """Return what *tool* does to the world, the worst where that is not declared; None where there is none."""
        undeclared = Effect.RUNS if tool in self._tools else None
        return next((spec.effect for spec in self._declared if spec.name == tool), undeclared)

    @cached_property
    def _declared(self) -> Sequence[ToolSpec]:
        return self._specs()

    @cached_property
    def _tools(self) -> dict[str, Tool]:  # type: ignore[override] # read as the attribute that it stands for
        return {spec.name: as_tool(spec) for spec in self._declared}


def as_tool(spec: ToolSpec) -> Tool:
    """Return the SDK's form of *spec*."""
    tool = ConvexTool.from_function(
        spec.fn,
        title=spec.title,
        description=getdoc(spec.fn),
        annotations=spec.effect.value,
        meta={"ui": {"resourceUri": PANEL}} if spec.shows_panel else None,
    )
    _make_strict(tool)
    return tool


def _make_strict(tool: Tool) -> None:
    # The SDK accepts unknown arguments silently, and repeats a rejected value in its error: it may be a secret.
    model = tool.fn_metadata.arg_model
    model.model_config |= ConfigDict(extra="forbid", hide_input_in_errors=True)
    model.model_rebuild(force=True)
    tool.parameters = _without_titles(model.model_json_schema(by_alias=True))
    tool.fn_metadata.output_schema = _or_error(_without_titles(tool.fn_metadata.output_schema or {}))


def _or_error(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* with what stands in its place where a call fails."""
    # The TypeScript SDK 1 holds errors to the schema too, and shows an agent nothing of one that does not fit.
    required = schema.pop("required", [])
    properties = {**schema.pop("properties"), "error": _ERROR}
    return {**schema, "properties": properties, "anyOf": [{"required": required}, {"required": ["error"]}]}


_SAID = ("code", "message", "next_step", "retry")
_ERROR: JsonValue = {
    "description": "Stands alone, where the call failed.",
    "type": "object",
    "properties": {name: {"type": "string"} for name in _SAID},
    "required": list(_SAID),
}


def _without_titles(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return *schema* without pydantic's titles, which repeat each name in capitals, in every conversation."""
    return {key: _inside(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}


def _inside(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [_inside(item) for item in value]
    return _without_titles(value) if isinstance(value, dict) else value


def _notes() -> tuple[str, ...]:
    """Return what befell the sandbox and no answer has told yet; a push tells it itself, beside what else it notes."""
    services = SERVING.get().services.opened
    return () if services is None else services.files.take_notes()


def _answer(result: BaseModel, notes: tuple[str, ...]) -> CallToolResult | InputRequiredResult:
    from mcp_convex.boundary.rendering import text_of  # noqa: PLC0415 - the first answer needs none of it

    if isinstance(result, InputRequiredResult):
        return result
    failed = isinstance(result, PushResult | CheckResult) and result.failure is not None
    return CallToolResult(
        content=[TextContent(type="text", text="\n".join([text_of(result), *notes]))],
        structured_content=result.model_dump(mode="json"),
        is_error=failed,
    )
