"""The tools, resources and prompts that the official conformance suite looks for, beside the server's own."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from typing import Any

from mcp.server import MCPServer
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import Prompt, UserMessage
from mcp.shared.exceptions import MCPError
from mcp.types import (
    AudioContent,
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    Resource,
    ResourceTemplate,
    SamplingMessage,
    SetLevelRequestParams,
    TextContent,
    TextResourceContents,
)

from mcp_convex.boundary import ConvexServer

MISSING_CAPABILITY = -32021
PIXEL = base64.b64encode(
    base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==")
).decode()
SILENCE = base64.b64encode(b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0@\x1f\0\0@\x1f\0\0\1\0\x08\0data\0\0\0\0").decode()
NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
COLOR = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}
OK = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
CONTEXT = {"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]}
ANSWER = {
    "type": "object",
    "properties": {"username": {"type": "string"}, "email": {"type": "string"}},
    "required": ["username", "email"],
}
DEFAULTS = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    },
}
TITLED = [{"const": f"value{number}", "title": f"Choice {number}"} for number in (1, 2, 3)]
PLAIN = ["option1", "option2", "option3"]
ENUMS = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": PLAIN},
        "titledSingle": {"type": "string", "oneOf": TITLED},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["One", "Two", "Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": PLAIN}},
        "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
    },
}

Ctx = Context[Any, Any]
Answer = CallToolResult | InputRequiredResult


class ConformanceServer(ConvexServer):
    """The server with the suite's fixtures mounted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for fn in (*PLAIN_TOOLS, *LEGACY_TOOLS, *ROUNDS):
            self.add_tool(fn, description="One of the suite's fixtures.", structured_output=False)
        for prompt in PROMPTS:
            self.add_prompt(Prompt.from_function(prompt, description="One of the suite's fixtures."))
        self.resource("test://static-text", mime_type="text/plain")(static_text)
        self.resource("test://static-binary", mime_type="image/png")(static_binary)
        self.resource("test://watched-resource", mime_type="text/plain")(watched)
        self.resource("test://template/{id}/data", mime_type="application/json")(template)
        low = self._lowlevel_server
        low.add_request_handler("logging/setLevel", SetLevelRequestParams, _nothing)

    async def list_resources(self) -> list[Resource]:
        return [*await super().list_resources(), *await MCPServer.list_resources(self)]

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return [*await super().list_resource_templates(), *await MCPServer.list_resource_templates(self)]

    async def read_resource(self, uri: Any, context: Any = None) -> Iterable[ReadResourceContents]:
        if str(uri).startswith("test://") and "nonexistent" not in str(uri):
            return await MCPServer.read_resource(self, uri, context)
        return await super().read_resource(uri, context)


async def _nothing(_: Any, __: Any) -> EmptyResult:
    return EmptyResult()


def static_text() -> str:
    return "This is the content of the static text resource."


def static_binary() -> bytes:
    return base64.b64decode(PIXEL)


def watched() -> str:
    return "Nothing has changed."


def template(id: str) -> str:  # noqa: A002 - the suite's name
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def text(said: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=said)], is_error=is_error)


async def test_simple_text() -> CallToolResult:
    return text("This is a simple text response for testing.")


async def test_image_content() -> CallToolResult:
    return CallToolResult(content=[ImageContent(type="image", data=PIXEL, mime_type="image/png")])


async def test_audio_content() -> CallToolResult:
    return CallToolResult(content=[AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")])


def embedded(uri: str, mime_type: str, said: str) -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=said))


async def test_embedded_resource() -> CallToolResult:
    said = "This is an embedded resource content."
    return CallToolResult(content=[embedded("test://embedded-resource", "text/plain", said)])


async def test_multiple_content_types() -> CallToolResult:
    (image,) = (await test_image_content()).content
    data = embedded("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')
    return CallToolResult(content=[TextContent(type="text", text="Multiple content types test:"), image, data])


async def test_tool_with_logging(ctx: Ctx) -> CallToolResult:
    for said in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.info(said)
    return text("Logged.")


async def test_tool_with_progress(ctx: Ctx) -> CallToolResult:
    for done in (0, 50, 100):
        await ctx.report_progress(done, 100)
    return text("Done.")


async def test_error_handling() -> CallToolResult:
    return text("This tool intentionally returns an error for testing", is_error=True)


async def test_missing_capability(ctx: Ctx) -> CallToolResult:
    if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
        raise MCPError(MISSING_CAPABILITY, "The client does not sample.", {"requiredCapabilities": {"sampling": {}}})
    return text("It samples.")


async def test_sampling(prompt: str, ctx: Ctx) -> CallToolResult:
    asked = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    answer = await ctx.session.create_message([asked], max_tokens=100, related_request_id=ctx.request_id)
    return text(f"LLM response: {answer.content}")


async def _elicited(ctx: Ctx, message: str, schema: dict[str, Any]) -> CallToolResult:
    answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return text(f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}")


async def test_elicitation(message: str, ctx: Ctx) -> CallToolResult:
    return await _elicited(ctx, message, ANSWER)


async def test_elicitation_sep1034_defaults(ctx: Ctx) -> CallToolResult:
    return await _elicited(ctx, "Please correct.", DEFAULTS)


async def test_elicitation_sep1330_enums(ctx: Ctx) -> CallToolResult:
    return await _elicited(ctx, "Please choose.", ENUMS)


def form(message: str, schema: dict[str, Any]) -> ElicitRequest:
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(prompt: str) -> CreateMessageRequest:
    asked = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[asked], max_tokens=100))


def asking(ctx: Ctx, requests: dict[str, Any], state: str | None = None) -> Answer:
    """Ask for all of *requests*, or say what came back once every one of them is answered."""
    given = ctx.input_responses or {}
    if not requests.keys() <= given.keys():
        return InputRequiredResult(input_requests=requests, request_state=state)
    said = {name: given[name].model_dump(mode="json", exclude_none=True) for name in requests}
    return text(f"state-ok {json.dumps(said)}")


async def test_input_required_result_elicitation(ctx: Ctx) -> Answer:
    return asking(ctx, {"user_name": form("What is your name?", NAME)})


async def test_input_required_result_sampling(ctx: Ctx) -> Answer:
    return asking(ctx, {"capital_question": sampling("What is the capital of France?")})


async def test_input_required_result_list_roots(ctx: Ctx) -> Answer:
    return asking(ctx, {"client_roots": ListRootsRequest()})


async def test_input_required_result_request_state(ctx: Ctx) -> Answer:
    return asking(ctx, {"confirm": form("Please confirm", OK)}, "confirming")


async def test_input_required_result_tampered_state(ctx: Ctx) -> Answer:
    return asking(ctx, {"confirm": form("Please confirm", OK)}, "confirming")


async def test_input_required_result_multiple_inputs(ctx: Ctx) -> Answer:
    asked = {
        "user_name": form("What is your name?", NAME),
        "greeting": sampling("Generate a greeting"),
        "client_roots": ListRootsRequest(),
    }
    return asking(ctx, asked, "several")


async def test_input_required_result_multi_round(ctx: Ctx) -> Answer:
    if ctx.request_state is None:
        return asking(ctx, {"step1": form("Step 1: What is your name?", NAME)}, "1")
    return asking(ctx, {"step2": form("Step 2: What is your favorite color?", COLOR)}, "2")


async def test_input_required_result_capabilities(ctx: Ctx) -> Answer:
    able = ctx.client_capabilities
    asked: dict[str, Any] = {}
    if able is not None and able.sampling is not None:
        asked["greeting"] = sampling("Generate a greeting")
    if able is not None and able.elicitation is not None:
        asked["user_name"] = form("What is your name?", NAME)
    return asking(ctx, asked)


def test_simple_prompt() -> str:
    return "This is a simple prompt for testing."


def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
    return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"


def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
    return [
        UserMessage(embedded(resourceUri, "text/plain", "Embedded resource content for testing.")),
        UserMessage("Please process the embedded resource above."),
    ]


def test_prompt_with_image() -> list[UserMessage]:
    return [
        UserMessage(ImageContent(type="image", data=PIXEL, mime_type="image/png")),
        UserMessage("Please analyze the image above."),
    ]


async def test_input_required_result_prompt(ctx: Ctx) -> Any:
    given = ctx.input_responses or {}
    if "user_context" not in given:
        return InputRequiredResult(input_requests={"user_context": form("What context?", CONTEXT)})
    return f"With the context {given['user_context'].model_dump_json()}"


PLAIN_TOOLS: tuple[Callable[..., Any], ...] = (
    test_simple_text,
    test_image_content,
    test_audio_content,
    test_embedded_resource,
    test_multiple_content_types,
    test_tool_with_logging,
    test_tool_with_progress,
    test_error_handling,
    test_missing_capability,
)
LEGACY_TOOLS: tuple[Callable[..., Any], ...] = (
    test_sampling,
    test_elicitation,
    test_elicitation_sep1034_defaults,
    test_elicitation_sep1330_enums,
)
ROUNDS: tuple[Callable[..., Any], ...] = (
    test_input_required_result_elicitation,
    test_input_required_result_sampling,
    test_input_required_result_list_roots,
    test_input_required_result_request_state,
    test_input_required_result_tampered_state,
    test_input_required_result_multiple_inputs,
    test_input_required_result_multi_round,
    test_input_required_result_capabilities,
)
PROMPTS: tuple[Callable[..., Any], ...] = (
    test_simple_prompt,
    test_prompt_with_arguments,
    test_prompt_with_embedded_resource,
    test_prompt_with_image,
    test_input_required_result_prompt,
)
