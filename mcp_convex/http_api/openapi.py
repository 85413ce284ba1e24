"""The description of the HTTP API in OpenAPI 3.1, made from the operations and their models."""

from __future__ import annotations

import functools
import inspect
import json
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from mcp_convex import __version__
from mcp_convex.boundary.narrowing import PARAMETERS, WORKSPACE
from mcp_convex.boundary.operations import Nothing, Operation
from mcp_convex.boundary.problems import MEDIA_TYPE, Problem
from mcp_convex.domain.models import Model
from mcp_convex.http_api import OPERATIONS

_REF = "#/components/schemas/{model}"
_HTML = {"text/html": {"schema": {"type": "string"}}}


@functools.cache
def openapi(toolsets: tuple[str, ...]) -> bytes:
    """Return it as JSON, for a server that knows *toolsets*."""
    return json.dumps(_document(toolsets), indent=2).encode() + b"\n"


def _document(toolsets: tuple[str, ...]) -> dict[str, Any]:
    used: list[tuple[type[Model], JsonSchemaMode]] = [(Problem, "serialization")]
    for operation in OPERATIONS:
        used.append((operation.asked, "validation"))
        used.append((operation.answered, "serialization"))
    named, definitions = models_json_schema(used, ref_template=_REF)
    schemas = {(model, mode): named[model, mode] for model, mode in used}
    paths: dict[str, Any] = dict(_PAGES)
    for operation in OPERATIONS:
        paths[operation.path] = {operation.method.lower(): _operation(operation, schemas)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mcp-convex",
            "version": __version__,
            "description": "What a chat backend calls that does not speak MCP. No answer holds a credential of Convex.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "parameters": {name: _parameter(name, said) for name, said in _narrowing(toolsets).items()},
            "responses": {"problem": {"description": "Why it came to nothing.", "content": _problem(schemas)}},
        },
    }


def _operation(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(operation.fn) or "").partition("\n\n")
    answer = schemas[operation.answered, "serialization"]
    body = {"content": {"application/json": {"schema": schemas[operation.asked, "validation"]}}}
    return {
        "operationId": operation.name,
        "summary": summary,
        **({"description": more.replace("\n", " ")} if more else {}),
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in PARAMETERS],
        **({} if operation.asked is Nothing else {"requestBody": body}),
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": answer}}},
            **{status: {"$ref": "#/components/responses/problem"} for status in _PROBLEMS},
        },
    }


_PROBLEMS = ("400", "401", "403", "404", "409", "413", "415", "421", "429", "500", "502", "503")
_WORKSPACE = {
    "description": "Which of the principal's workspaces.",
    "schema": {"type": "string", "pattern": f"^{WORKSPACE}$", "default": "default"},
}


def _narrowing(toolsets: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return {
        "workspace": _WORKSPACE,
        "read_only": {
            "description": "Whether to allow only what changes nothing.",
            "schema": {"type": "string", "enum": ["true", "false", "1", "0"], "default": "false"},
        },
        "toolsets": {
            "description": "The groups of tools that may be used, with commas between them; without it, all.",
            "style": "form",
            "explode": False,
            "schema": {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(toolsets)}},
        },
    }


def _parameter(name: str, said: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", **said}


def _problem(schemas: dict[Any, Any]) -> dict[str, Any]:
    return {MEDIA_TYPE: {"schema": schemas[Problem, "serialization"]}}


def _page(name: str, summary: str, **parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of a page: a browser opens it, without a token."""
    answers = {"400": "The address is wrong.", "403": "The browser's person is not known.", "404": "It is used up."}
    return {
        "get": {
            "operationId": name,
            "summary": summary,
            "security": [],
            "parameters": [_parameter(name, said) for name, said in parameters.items()],
            "responses": {
                "303": {"description": "Where the browser goes next."},
                **{status: {"description": said, "content": _HTML} for status, said in answers.items()},
            },
        }
    }


_PAGES = {
    "/convex/connect": _page(
        "open_connect",
        "Where a person's browser begins to connect their Convex account.",
        workspace=_WORKSPACE,
        scope={"schema": {"enum": ["team", "project"], "default": "team"}},
        ticket={"description": "What `url` of `connect` has.", "schema": {"type": "string"}},
    ),
    "/convex/callback": _page(
        "come_back",
        "Where Convex sends the browser after the person's consent: the redirect URI of the OAuth application.",
        state={"schema": {"type": "string"}},
        code={"schema": {"type": "string"}},
    ),
}
