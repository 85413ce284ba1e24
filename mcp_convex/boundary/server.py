"""
The MCP server, and the one place where an exception becomes an answer.

The conversion sits around `call_tool` and `read_resource`, not around each tool, so
that it also sees what the framework raises for them: bad arguments, an unknown name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError, UnexpectedToolError
from mcp.server.mcpserver.prompts.base import Prompt
from mcp.server.request_state import RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, SubscriptionBus
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolResult,
    Completion,
    CompletionArgument,
    InputRequiredResult,
    Resource,
    ResourceTemplate,
    SubscriptionsListenRequestParams,
    TextContent,
    Tool,
)
from pydantic import AnyUrl, ValidationError
from pydantic_core import to_json

from mcp_convex.boundary.audit import recorded
from mcp_convex.boundary.bounds import LARGEST_ANSWER, late, too_much
from mcp_convex.boundary.completion import complete
from mcp_convex.boundary.fencing import fence
from mcp_convex.boundary.hosting import SERVING, Hosting, OpenHosting
from mcp_convex.boundary.request_ids import name_request
from mcp_convex.boundary.resources import Resources
from mcp_convex.boundary.spec import Effect, ResourceSpec, ToolSpec
from mcp_convex.boundary.subscriptions import LegacySubscriptions, OwnEvents
from mcp_convex.boundary.tools import LateTools
from mcp_convex.domain.errors import ConvexMcpError, FunctionThrew, LimitReached, NotFound, Retry
from mcp_convex.domain.secrets import redact

logger = logging.getLogger(__name__)

_REFUSED = -32050
"""JSON-RPC leaves -32000 to -32099 to servers: a request that is right, and may come again later."""


async def _serve(ctx: ServerRequestContext[Hosting, Any], call_next: CallNext) -> HandlerResult:
    if ctx.request is not None:
        name_request(ctx.request.scope)
    async with ctx.lifespan_context.serving(ctx.request) as serving:
        SERVING.set(serving)
        if ctx.method == "tools/call" or ctx.request_id is None:
            return await call_next(ctx)  # a tool's refusal is an answer of the tool, and a notification has none
        try:
            async with serving.turn():
                return await call_next(ctx)
        except LimitReached as exc:
            raise MCPError(_REFUSED, redact(f"{exc.code}: {exc.message} {exc.next_step}"), _error(exc)) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What a server offers. Tools and resources are asked for at the first need, so that a start imports neither."""

    tools: Callable[[], Sequence[ToolSpec]]
    resources: Callable[[], Sequence[ResourceSpec]]
    prompts: Sequence[Prompt]
    deadline_s: float
    """Seconds after which a call of a tool is stopped."""


class _Apps(Extension):
    """MCP Apps, with which a chat shows the panel. The SDK's own extension would register it at every start."""

    identifier = "io.modelcontextprotocol/ui"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """What a server shares with its replicas, so that a client may be served by any of them."""

    bus: SubscriptionBus = field(default_factory=InMemorySubscriptionBus)
    """Carries the changes of resources that its clients may follow."""
    request_state: RequestStateSecurity | None = None
    """The keys that seal what clients carry from one round to the next; None for one of this process alone."""


class ConvexServer(MCPServer[Hosting]):
    """Serves *surface* over the workspaces that *open_hosting* opens, once, for the server's life."""

    def __init__(
        self,
        open_hosting: OpenHosting,
        surface: Surface,
        *,
        version: str,
        instructions: str,
        replicated: Replicated | None = None,
    ) -> None:
        shared = replicated or Replicated()
        super().__init__(
            "convex",
            title="Convex",
            description="Give an app a Convex backend: write its functions, push them, run them, read the data.",
            instructions=instructions,
            version=version,
            lifespan=lambda _: open_hosting(),
            middleware=[_serve],
            extensions=[_Apps()],
            request_state_security=shared.request_state,
            subscriptions=OwnEvents(shared.bus),
        )
        self._deadline_s = surface.deadline_s
        LegacySubscriptions(self._subscriptions).serve_on(self._lowlevel_server)
        # Replaces the SDK's own handler, which cannot be told that the server is ending.
        self._streams = ListenHandler(self._subscriptions)
        self._lowlevel_server.add_request_handler(
            "subscriptions/listen", SubscriptionsListenRequestParams, self._streams
        )
        self._tool_manager = self._declared = LateTools(surface.tools)
        self._resources = Resources(surface.resources)
        for prompt in surface.prompts:
            self.add_prompt(prompt)
        self.completion()(_completed)  # type: ignore[no-untyped-call] # the SDK left it untyped

    def load(self) -> None:
        """Make the tools now, and not at the first need."""
        self._declared.list_tools()

    def end_streams(self) -> None:
        """Let all who follow something know that they will hear no more of it here, and have to ask again."""
        self._streams.close()

    async def list_tools(self) -> list[Tool]:
        serving = SERVING.get()
        return [tool for tool in await super().list_tools() if serving.offers(tool.name)]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Hosting, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        serving = SERVING.get()
        effect = self._declared.effect_of(name)
        if effect is None or not serving.offers(name):
            return _no_such_tool(name, [tool for tool in self._declared.names() if serving.offers(tool)])
        audited = None if effect is Effect.READS else arguments
        try:
            async with serving.turn(), recorded(serving, name, audited) as call:
                call.answer = await self._answered(name, arguments, context)
                return call.answer
        except LimitReached as exc:
            serving.meter.called(name, exc.code, 0)
            return error_of(exc)

    async def _answered(
        self, name: str, arguments: dict[str, Any], context: Context[Hosting, Any] | None
    ) -> CallToolResult | InputRequiredResult:
        try:
            with anyio.move_on_after(self._deadline_s):
                return _bounded(name, await super().call_tool(name, arguments, context))
        except ToolError as exc:
            return _answer(name, exc)
        may_change = self._declared.effect_of(name) is not Effect.READS
        return error_of(late(name, self._deadline_s, may_change=may_change))

    async def list_resources(self) -> list[Resource]:
        return await self._resources.listed(SERVING.get())

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return self._resources.templates(SERVING.get())

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Hosting, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        del context
        try:
            with anyio.move_on_after(self._deadline_s):
                return [await self._resources.read(str(uri), SERVING.get())]
        except ConvexMcpError as exc:
            raise _resource_error(exc) from None
        except (ResourceError, asyncio.CancelledError):
            raise
        except Exception as exc:  # noqa: BLE001 - the edge: its text may hold a key, so only its type is kept
            logger.error("resource: %s", type(exc).__name__)  # noqa: TRY400 - a traceback may hold a key too
            raise ResourceError("internal_error: A bug in mcp-convex stopped the read.") from None
        raise _resource_error(late("resources/read", self._deadline_s, may_change=False))


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
            return error_of(known)
        case ValidationError() as invalid if not isinstance(exc, UnexpectedToolError):
            # What pydantic calls a tuple is an array in the caller's JSON.
            said = [(e["loc"], e["msg"].replace("valid tuple", "valid array")) for e in invalid.errors()]
            wrong = "; ".join(f"`{'.'.join(map(str, where))}`: {what}" for where, what in said)
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


def _no_such_tool(tool: str, offered: Sequence[str] = ()) -> CallToolResult:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    near = get_close_matches(tool, offered, n=1)
    step = f"Did you mean `{near[0]}`?" if near else "Call one of the tools that are listed."
    return error_result("unknown_tool", f"There is no tool `{tool}`.", step, "changed_call")


def _resource_error(exc: ConvexMcpError) -> ResourceError:
    kind = ResourceNotFoundError if isinstance(exc, NotFound) else ResourceError
    return kind(redact(f"{exc.code}: {exc.message} {exc.next_step}"))


def error_result(code: str, message: str, next_step: str, retry: Retry) -> CallToolResult:
    """Say what went wrong, both for a reader and for a program."""
    return _told({"code": code, "message": redact(message), "next_step": redact(next_step), "retry": retry})


def error_of(exc: ConvexMcpError) -> CallToolResult:
    """Say what went wrong, as the error itself has it."""
    return _told(_error(exc))


def _error(exc: ConvexMcpError) -> dict[str, str | int]:
    said: dict[str, str | int] = {
        "code": exc.code,
        "message": redact(exc.message),
        "next_step": redact(exc.next_step),
        "retry": exc.retry,
    }
    if isinstance(exc, LimitReached) and exc.retry_after_s is not None:
        said["retry_after_s"] = exc.retry_after_s
    return said


def _told(error: Mapping[str, str | int]) -> CallToolResult:
    text = f"{error['code']}: {error['message']}\nNext step: {error['next_step']}"
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content={"error": dict(error)}, is_error=True
    )


def _bounded(tool: str, answer: CallToolResult | InputRequiredResult) -> CallToolResult | InputRequiredResult:
    if isinstance(answer, CallToolResult) and (size := len(to_json(answer.structured_content))) > LARGEST_ANSWER:
        return error_of(too_much(tool, size))
    return answer
