"""Anthropic's Messages API on loopback: says what it is told to say next, and refuses what the real one refuses."""

from __future__ import annotations

import re
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.doubles.deployment import served

KEY = "sk-ant-api03-canary-5f2e8b71c9"
MODEL = "claude-double-1"

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


@dataclass(frozen=True)
class Says:
    """An answer of the model."""

    text: str = ""
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    stop: str | None = None
    """Without it, as the content has it."""


@dataclass(frozen=True)
class Fails:
    """An answer of the API that is no model's."""

    status: int
    kind: str
    retry_after_s: float | None = None


@dataclass
class MessagesApi:
    """What it was asked, and what it is going to say."""

    url: str = ""
    coming: deque[Says | Fails] = field(default_factory=deque)
    asked: list[dict[str, Any]] = field(default_factory=list)
    asked_at: list[float] = field(default_factory=list)
    _made: int = 0

    async def messages(self, request: Request) -> JSONResponse:
        body = await request.json()
        self.asked.append(body)
        self.asked_at.append(time.monotonic())
        if refusal := _refusal(request, body.get("model")) or _malformed(body):
            return refusal
        answer = self.coming.popleft()
        if isinstance(answer, Fails):
            headers = {} if answer.retry_after_s is None else {"retry-after": str(answer.retry_after_s)}
            return _error(answer.status, answer.kind, "Not now.", headers)
        return JSONResponse(self._message(answer))

    async def model(self, request: Request) -> JSONResponse:
        name = request.path_params["model"]
        known = {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
        return _refusal(request, name) or JSONResponse(known)

    def _message(self, answer: Says) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": answer.text}] if answer.text else []
        for name, args in answer.calls:
            self._made += 1
            content.append({"type": "tool_use", "id": f"toolu_{self._made:04}", "name": name, "input": args})
        return {
            "id": f"msg_{len(self.asked):04}",
            "type": "message",
            "role": "assistant",
            "model": MODEL,
            "content": content,
            "stop_reason": answer.stop or ("tool_use" if answer.calls else "end_turn"),
            "stop_sequence": None,
            "usage": {"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 1000},
        }


@asynccontextmanager
async def messages_api():
    """Serve it for as long as the block lasts."""
    api = MessagesApi()
    routes = [
        Route("/v1/messages", api.messages, methods=["POST"]),
        Route("/v1/models/{model}", api.model),
    ]
    async with served(Starlette(routes=routes), lambda: None) as api.url:
        yield api


def _refusal(request: Request, model: str | None) -> JSONResponse | None:
    if request.headers.get("authorization") != f"Bearer {KEY}":
        return _error(401, "authentication_error", "invalid API key")
    if "anthropic-version" not in request.headers:
        return _error(400, "invalid_request_error", "anthropic-version: header is required")
    return None if model == MODEL else _error(404, "not_found_error", f"model: {model}")


def _malformed(body: dict[str, Any]) -> JSONResponse | None:
    """Refuse tools that have no proper name, and calls that the next message does not answer one by one."""
    messages = body["messages"]
    roles = [message["role"] for message in messages]
    told = [f"tools.{each['name']}" for each in body["tools"] if not _TOOL_NAME.fullmatch(each["name"])]
    told += [f"{each['name']}: no object" for each in body["tools"] if each["input_schema"].get("type") != "object"]
    if roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        told.append("messages: roles must alternate, and end with the user's")
    for message, following in zip(messages[1::2], messages[2::2], strict=True):
        called = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        if called != [block["tool_use_id"] for block in following["content"] if block["type"] == "tool_result"]:
            told.append("messages: `tool_use` ids were found without `tool_result` blocks immediately after")
    return _error(400, "invalid_request_error", "; ".join(told)) if told else None


def _error(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    said = {"type": "error", "error": {"type": kind, "message": message}}
    return JSONResponse(said, status, headers={"request-id": "req_0001", **(headers or {})})
