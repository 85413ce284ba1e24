"""
The MCP server, and the one place where an exception becomes an answer.

The conversion sits around `call_tool` and `read_resource`, not around each tool, so
that it also sees what the framework raises for them: bad arguments, an unknown name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError, UnexpectedToolError
from mcp.server.mcpserver.prompts.base import Prompt
from mcp.server.request_state import RequestStateSecurity
from mcp.types import (
    CallToolResult,
    Completion,
    CompletionArgument,
    InputRequiredResult,
    Resource,
    ResourceTemplate,
    TextContent,
    Tool,
)
from pydantic import AnyUrl, ValidationError

from mcp_convex.boundary.audit import recorded
from mcp_convex.boundary.completion import complete
from mcp_convex.boundary.fencing import fence
from mcp_convex.boundary.hosting import SERVING, Hosting, OpenHosting
from mcp_convex.boundary.resources import Resources
from mcp_convex.boundary.spec import ResourceSpec, ToolSpec
from mcp_convex.boundary.tools import LateTools
from mcp_convex.domain.errors import ConvexMcpError, FunctionThrew, NotFound, Retry
from mcp_convex.domain.secrets import redact

logger = logging.getLogger(__name__)


async def _serve(ctx: ServerRequestContext[Hosting, Any], call_next: CallNext) -> HandlerResult:
    async with ctx.lifespan_context.serving(ctx.request) as serving:
        SERVING.set(serving)
        return await call_next(ctx)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What a server offers. Tools and resources are asked for at the first need, so that a start imports neither."""

    tools: Callable[[], Sequence[ToolSpec]]
    resources: Callable[[], Sequence[ResourceSpec]]
    prompts: Sequence[Prompt]


class _Apps(Extension):
    """MCP Apps: a chat that can shows the panel. The SDK's own would have it registered before the first request."""

    identifier = "io.modelcontextprotocol/ui"


class ConvexServer(MCPServer[Hosting]):
    """Serves *surface* over the workspaces that *open_hosting* opens, once, for the server's life."""

    def __init__(
        self,
        open_hosting: OpenHosting,
        surface: Surface,
        *,
        version: str,
        instructions: str,
        request_state_security: RequestStateSecurity | None = None,
    ) -> None:
        super().__init__(
            "convex",
            title="Convex",
            description="Give an app a Convex backend: write its functions, push them, run them, read the data.",
            instructions=instructions,
            version=version,
            lifespan=lambda _: open_hosting(),
            middleware=[_serve],
            extensions=[_Apps()],
            request_state_security=request_state_security,
        )
        self._tool_manager = self._declared = LateTools(surface.tools)
        self._resources = Resources(surface.resources)
        for prompt in surface.prompts:
            self.add_prompt(prompt)
        self.completion()(_completed)  # type: ignore[no-untyped-call] # the SDK left it untyped

    async def list_tools(self) -> list[Tool]:
        serving = SERVING.get()
        return [tool for tool in await super().list_tools() if serving.offers(tool.name)]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Hosting, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        serving = SERVING.get()
        if not serving.offers(name):
            return _no_such_tool(name)
        if not self._declared.may_change(name):
            return await self._answered(name, arguments, context)
        async with recorded(serving.services, name, arguments) as call:
            call.answer = await self._answered(name, arguments, context)
        return call.answer

    async def _answered(
        self, name: str, arguments: dict[str, Any], context: Context[Hosting, Any] | None
    ) -> CallToolResult | InputRequiredResult:
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as exc:
            return _answer(name, exc)

    async def list_resources(self) -> list[Resource]:
        return await self._resources.listed(SERVING.get())

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return self._resources.templates(SERVING.get())

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Hosting, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        del context
        try:
            return [await self._resources.read(str(uri), SERVING.get())]
        except ConvexMcpError as exc:
            raise _resource_error(exc) from None
        except (ResourceError, asyncio.CancelledError):
            raise
        except Exception as exc:  # noqa: BLE001 - the edge: its text may hold a key, so only its type is kept
            logger.error("resource: %s", type(exc).__name__)  # noqa: TRY400 - a traceback may hold a key too
            raise ResourceError("internal_error: A bug in mcp-convex stopped the read.") from None


async def _completed(ref: object, argument: CompletionArgument, context: object) -> Completion:
    del ref, context  # an argument of one name means the same everywhere
    return await complete(argument.name, argument.value, SERVING.get())


def _answer(tool: str, exc: ToolError) -> CallToolResult:
    match exc.__cause__:
        case FunctionThrew() as threw:
            ours, _, theirs = threw.message.partition("\n")
            return error_result(
                threw.code, f"{ours}\n{fence(theirs)}" if theirs else ours, threw.next_step, threw.retry
            )
        case ConvexMcpError() as known:
            logger.info("%s: %s", tool, known.code)
            return error_result(known.code, known.message, known.next_step, known.retry)
        case ValidationError() as invalid if not isinstance(exc, UnexpectedToolError):
            wrong = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {e['msg']}" for e in invalid.errors())
            return error_result("invalid_arguments", wrong, "Call again with the arguments corrected.", "changed_call")
        case cause if isinstance(exc, UnexpectedToolError):
            # The text of an unforeseen exception may hold a key: only its type is kept.
            logger.error("%s: %s", tool, type(cause).__name__)
            return error_result(
                "internal_error",
                f"A bug in mcp-convex stopped `{tool}`.",
                "Do not repeat the call. Tell the person, and name this tool.",
                "never",
            )
        case _:
            return _no_such_tool(tool)


def _no_such_tool(tool: str) -> CallToolResult:
    return error_result(
        "unknown_tool", f"There is no tool `{tool}`.", "Call one of the tools that are listed.", "changed_call"
    )


def _resource_error(exc: ConvexMcpError) -> ResourceError:
    kind = ResourceNotFoundError if isinstance(exc, NotFound) else ResourceError
    return kind(redact(f"{exc.code}: {exc.message} {exc.next_step}"))


def error_result(code: str, message: str, next_step: str, retry: Retry) -> CallToolResult:
    """Say what went wrong, both for a reader and for a program."""
    error = {"code": code, "message": redact(message), "next_step": redact(next_step), "retry": retry}
    text = f"{code}: {error['message']}\nNext step: {error['next_step']}"
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content={"error": error}, is_error=True
    )
