"""A loopback E2B: its control API and the way to each sandbox's envd, with faults by request."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import uvicorn
from connectrpc.code import Code
from connectrpc.errors import ConnectError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.doubles.e2b.box import Box, BoxTemplate, clear
from tests.doubles.e2b.builds import Builds
from tests.doubles.e2b.envd import download, process_application, upload

API_KEY = "e2b_canary_0123456789abcdef"


@dataclass
class Fault:
    """What becomes of the next requests that `at` fits, such as `POST /v2/sandboxes` or `/process.Process/Start`."""

    at: str
    status: int = 0
    message: str = "a fault that a test asked for"
    error_code: str | None = None
    times: int = 1
    cut_after: int | None = None
    """The connection is cut after that many pieces of the answer's body."""
    stalls: bool = False
    """No answer comes."""
    kills: bool = False
    """The sandbox dies first, so that the request finds it gone."""
    pauses: bool = False
    """The sandbox is paused first: its streams are cut, and what runs in it goes on once it is resumed."""
    skip: int = 0
    """How many such requests are served before."""
    met: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it has befallen a request."""


class E2BCloud:
    """A loopback E2B with one account. `url` is both the API's and the sandboxes'."""

    def __init__(self, folder: Path, *templates: BoxTemplate) -> None:
        self.templates = {template.name: template for template in templates}
        self.builds = Builds(self.templates, templates[0].packages)
        self.boxes: dict[str, Box] = {}
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.url = ""
        self._folder = folder
        self._numbers = itertools.count(1)
        self._by_key: dict[str, str] = {}
        self._processes = process_application(self._find)
        self._over = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[E2BCloud]:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.bind(("127.0.0.1", 0))
        config = uvicorn.Config(
            self._serve, interface="asgi3", lifespan="off", log_config=None, ws="none", timeout_graceful_shutdown=1
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[sock])
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        try:
            yield self
        finally:
            self._over.set()
            for box in self.boxes.values():
                await box.end()
                clear(box.home)
            await server.shutdown()

    @property
    def alive(self) -> list[Box]:
        return [box for box in self.boxes.values() if box.state != "gone"]

    def count(self, request: str) -> int:
        """Return how often *request*, such as `POST /v2/sandboxes`, came."""
        return sum(seen == request for seen in self.requests)

    async def create(self, metadata: Mapping[str, str], **about: Any) -> Box:
        """Make a sandbox, as a request does or as one that was left over."""
        number = next(self._numbers)
        template = about.pop("template", next(iter(self.templates.values())))
        box = Box(id=f"box{number}", template=template, home=self._folder / f"box{number}", metadata=metadata, **about)
        await box.boot()
        self.boxes[box.id] = box
        return box

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        line = f"{scope['method']} {scope['path']}"
        self.requests.append(line)
        fault = self._fault(line)
        if fault is not None:
            fault.met.set()
            await self._misbehave(fault, request)
            if fault.status:
                answer = {"code": fault.status, "message": fault.message, "error_code": fault.error_code}
                await JSONResponse(answer, fault.status)(scope, receive, send)
                return
            if fault.cut_after is not None:
                send = _cutting(send, fault.cut_after)
        await self._expire()
        if "e2b-sandbox-id" in request.headers:
            await self._serve_box(request, send)
        else:
            await (await self._control(request))(scope, receive, send)

    def _fault(self, line: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.at in line:
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None

    async def _misbehave(self, fault: Fault, request: Request) -> None:
        if fault.kills:
            for box in self.boxes.values():
                await box.end()
        if fault.pauses:
            for box in self.alive:
                await box.pause()
        if fault.stalls:
            await self._over.wait()

    async def _expire(self) -> None:
        for box in self.boxes.values():
            if box.state == "running" and box.end_at < datetime.now(UTC):
                await box.end()

    async def _serve_box(self, request: Request, send: Any) -> None:
        box = self.boxes.get(request.headers["e2b-sandbox-id"])
        scope, receive = request.scope, request.receive
        if box is None or box.state != "running":
            gone = {"sandboxId": request.headers["e2b-sandbox-id"], "message": "The sandbox was not found", "code": 502}
            await JSONResponse(gone, 502)(scope, receive, send)
        elif request.headers.get("x-access-token") != box.token:
            await JSONResponse({"code": 401, "message": "unauthorized"}, 401)(scope, receive, send)
        elif scope["path"] == "/health":
            await Response(status_code=204)(scope, receive, send)
        elif scope["path"] == "/files":
            answer = await upload(box, request) if scope["method"] == "POST" else download(box, request)
            await answer(scope, receive, send)
        else:
            await self._processes(scope, receive, send)

    def _find(self, headers: Any) -> Box:
        box = self.boxes.get(headers["e2b-sandbox-id"])
        if box is None or box.state != "running":
            raise ConnectError(Code.UNAVAILABLE, "The sandbox was not found")
        return box

    async def _control(self, request: Request) -> Response:  # noqa: PLR0911 - one a route
        parts = request.url.path.strip("/").removeprefix("v2/").removeprefix("v3/").split("/")
        if request.headers.get("x-api-key") != API_KEY and parts[0] != "upload":
            return _said(401, "Invalid API key")
        match request.method, parts:
            case _, ["templates" | "upload", *_]:
                return await self.builds.answer(request, parts) or _said(404, "no such route")
            case "POST", ["sandboxes"]:
                return await self._create(request)
            case "GET", ["sandboxes"]:
                return self._list(request)
            case method, ["sandboxes", box_id, *action]:
                box = self.boxes.get(box_id)
                if box is None or box.state == "gone":
                    return _said(404, f"sandbox {box_id} not found")
                return await _act(box, method, action, request)
            case _:
                return _said(404, "no such route")

    async def _create(self, request: Request) -> Response:
        asked = await request.json()
        key = request.headers.get("idempotency-key", "")
        if key in self._by_key:
            return JSONResponse(self.boxes[self._by_key[key]].as_json(), 201)
        template = self.templates.get(asked["templateID"])
        if template is None:
            return _said(404, f"template '{asked['templateID']}' not found")
        box = await self.create(
            asked.get("metadata", {}),
            template=template,
            internet=asked.get("allow_internet_access", True),
            lifetime_s=asked.get("timeout", 300),
        )
        self._by_key[key] = box.id
        return JSONResponse(box.as_json(), 201)

    def _list(self, request: Request) -> Response:
        wanted = {
            unquote(name): unquote(value) for name, value in parse_qsl(request.query_params.get("metadata", ""))
        }.items()
        found = [box.as_json() for box in self.alive if wanted <= dict(box.metadata).items()]
        return JSONResponse(sorted(found, key=lambda box: box["startedAt"], reverse=True))


async def _act(box: Box, method: str, action: list[str], request: Request) -> Response:
    match method, action:
        case "GET", []:
            return JSONResponse(box.as_json())
        case "DELETE", []:
            await box.end()
            return Response(status_code=204)
        case "POST", ["connect"]:
            resumed = box.state == "paused"
            box.resume()
            box.extend((await request.json()).get("timeout", 300))
            return JSONResponse(box.as_json(), 201 if resumed else 200)
        case "POST", ["timeout"]:
            box.extend((await request.json())["timeout"])
            return Response(status_code=204)
        case "POST", ["pause"]:
            await box.pause()
            return Response(status_code=204)
    return _said(404, "no such route")


def _said(status: int, message: str) -> Response:
    return JSONResponse({"code": status, "message": message}, status)


def _cutting(send: Any, pieces: int) -> Any:
    """Return a `send` that breaks the connection after so many pieces of a body."""
    left = pieces

    async def cut(message: Any) -> None:
        nonlocal left
        left -= message["type"] == "http.response.body"
        if left >= 0:
            await send(message)
        if left <= 0 and message["type"] == "http.response.body":
            raise ConnectionResetError("the test asked for it")

    return cut
