"""A deployment on loopback that takes pushes from the real CLI, remembers what it saw, and misbehaves on request."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import socket
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import brotli
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mcp_convex.domain.models import Target
from mcp_convex.domain.ports import Reach
from mcp_convex.domain.secrets import AdminKeyValue

ADMIN_KEY = "dev:canary-otter-123|eyJ2MiI6IkNBTkFSWS1rZXktMDEyMzQ1Njc4OSJ9"

KEYED_BY_HEADER = {"query", "function", "update_environment_variables"}
"""Steps that are authenticated by their header alone; the others go by `adminKey` in the body."""

_EXPORTS = re.compile(r"export \{(.*?)\};", re.DOTALL)


# --- ways to misbehave -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault(ABC):
    """One answer that is not the right one."""

    applies: bool = field(default=False, kw_only=True)
    """The deployment does what was asked before it misbehaves."""

    @abstractmethod
    async def answer(self, right: Response, closing: asyncio.Event) -> Response:
        """Return what goes out in the place of *right*."""


@dataclass(frozen=True)
class Says(Fault):
    """A status with Convex's `{code, message}`."""

    status: int
    code: str = "Whatever"
    message: str = "The deployment says no."
    headers: dict[str, str] = field(default_factory=dict)

    async def answer(self, right, closing):
        return JSONResponse({"code": self.code, "message": self.message}, self.status, headers=self.headers)


@dataclass(frozen=True)
class Answers(Fault):
    """Any JSON, with status 200."""

    content: Any

    async def answer(self, right, closing):
        return JSONResponse(self.content)


@dataclass(frozen=True)
class Babbles(Fault):
    """A status 200 that is not JSON."""

    async def answer(self, right, closing):
        return Response("<html>Sign in to this network</html>", media_type="text/html")


@dataclass(frozen=True)
class BreaksOff(Fault):
    """Half an answer, then a closed connection, where *released* is given not before that is set."""

    released: asyncio.Event | None = None

    async def answer(self, right, closing):
        return _Broken(half=right.body[: len(right.body) // 2], released=self.released)


@dataclass(frozen=True)
class Leaves(Fault):
    """Any JSON, and nobody who listens from then on: connections are refused."""

    content: Any

    async def answer(self, right, closing):
        return _Last(self.content, headers={"Connection": "close"})


@dataclass(frozen=True)
class HangsUp(Fault):
    """A closed connection without a byte of an answer."""

    async def answer(self, right, closing):
        return _Broken(half=None)


@dataclass(frozen=True)
class Holds(Fault):
    """No answer before it is let go, and word that the question has come."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, right: Response, closing: asyncio.Event) -> Response:
        self.reached.set()
        waiting = [asyncio.ensure_future(event.wait()) for event in (closing, self.released)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return right


@dataclass(frozen=True)
class KeepsSilent(Fault):
    """No answer until the deployment is closed."""

    async def answer(self, right, closing):
        await closing.wait()
        return right


@dataclass(frozen=True)
class Lingers(Fault):
    """The right answer, late."""

    seconds: float
    applies: bool = field(default=True, kw_only=True)

    async def answer(self, right, closing):
        await asyncio.sleep(self.seconds)
        return right


class _Broken(Response):
    """What a broken connection leaves of an answer: half a body, or nothing."""

    def __init__(self, half: bytes | None, released: asyncio.Event | None = None) -> None:
        super().__init__()
        self.half = half
        self.released = released

    async def __call__(self, scope, receive, send) -> None:
        if self.half is not None:
            headers = [(b"content-length", b"100000"), (b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": self.half, "more_body": True})
            if self.released is not None:
                await self.released.wait()
            return  # uvicorn closes the connection of an answer that was not completed
        scope["connection"].abort()
        while "http.disconnect" != (await receive())["type"]:  # once uvicorn has noticed: it would answer 500 before
            pass


class _Last(JSONResponse):
    """The last answer of a server."""

    async def __call__(self, scope, receive, send) -> None:
        for listener in scope["listeners"]:
            listener.close()
        await super().__call__(scope, receive, send)


# --- the deployment ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """One request, as it arrived."""

    step: str
    headers: dict[str, str]
    raw: bytes
    body: Any


class FakeDeployment:
    """
    Answers the push protocol as far as `convex dev --once` needs it.

    Functions are analysed by their exported names alone: each is a query, and public unless `internal` has its name.
    """

    def __init__(self) -> None:
        self.url = ""
        self.admin_key = ADMIN_KEY
        self.env_vars: dict[str, str] = {}
        self.live: dict[str, str] = {}
        """The hash of each live module."""
        self.pushes = 0
        self.added_indexes: list[dict[str, Any]] = []
        self.removed_indexes: list[dict[str, Any]] = []
        self.documents: dict[str, int] = {}
        self.internal: set[str] = set()
        self.seen: list[Seen] = []
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._standing: dict[str, Fault] = {}
        self._pending: dict[str, str] = {}
        self._analyses: dict[str, Any] = {}
        """By module, of whatever was ever pushed."""
        self._arrivals: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._closing = asyncio.Event()

    @property
    def reach(self) -> Reach:
        return reach_of(self.url, self.admin_key)

    def script(self, step: str, *faults: Fault) -> None:
        """Let the next requests for *step* go wrong, one after another; then it answers as it should."""
        self._faults[step].extend(faults)

    def always(self, step: str, fault: Fault) -> None:
        """Let every request for *step* go wrong."""
        self._standing[step] = fault

    def mend(self) -> None:
        """Answer as it should from now on, and forget who asked."""
        self._faults.clear()
        self._standing.clear()
        self._arrivals.clear()
        self.seen.clear()

    def asked(self, step: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.step == step]

    async def until_asked(self, step: str) -> None:
        """Return once *step* was asked for."""
        await self._arrivals[step].wait()

    def app(self) -> ASGIApp:
        v1 = [Route("/api/v1/{step}", self._serve, methods=["GET", "POST"])]
        deploy = [Route("/api/deploy2/{step}", self._serve, methods=["GET", "POST"])]
        return cuttable(Starlette(routes=[*v1, *deploy, Route("/api/{step}", self._serve, methods=["GET", "POST"])]))

    def close(self) -> None:
        self._closing.set()

    async def _serve(self, request: Request) -> Response:
        raw = await request.body()
        plain = brotli.decompress(raw) if request.headers.get("content-encoding") == "br" else raw
        step = request.path_params["step"]
        seen = Seen(step, dict(request.headers), plain, json.loads(plain) if plain else None)
        self.seen.append(seen)
        self._arrivals[step].set()
        fault = self._faults[step].popleft() if self._faults[step] else self._standing.get(step)
        right = self._right_answer(seen) if fault is None or fault.applies else JSONResponse({})
        return await fault.answer(right, self._closing) if fault else right

    def _right_answer(self, seen: Seen) -> Response:
        if seen.headers.get("authorization") != f"Convex {self.admin_key}":
            return _says(401, "BadDeployKey", "The provided deploy key was invalid for deployment 'double'")
        by_body = seen.body is not None and seen.step not in KEYED_BY_HEADER
        if by_body and seen.body.get("adminKey") != self.admin_key:
            return _says(401, "BadAdminKey", "The admin key of the body is wrong")
        answer = getattr(self, f"_{seen.step}", None)
        return answer(seen.body) if answer else _says(404, "NotFound", f"no {seen.step}")

    def _get_canonical_urls(self, body: Any) -> Response:
        return JSONResponse({"convexCloudUrl": "https://double.test", "convexSiteUrl": "https://site.double.test"})

    def _list_environment_variables(self, body: Any) -> Response:
        return JSONResponse({"environmentVariables": self.env_vars})

    def _update_environment_variables(self, body: Any) -> Response:
        changes = {change["name"]: change["value"] for change in body["changes"]}
        self.env_vars = {name: value for name, value in (self.env_vars | changes).items() if value is not None}
        return Response()

    def _get_config_hashes(self, body: Any) -> Response:
        hashes = [{"path": path, "hash": sha, "environment": "isolate"} for path, sha in self.live.items()]
        config = {"functions": "convex/"}
        return JSONResponse({"config": config, "moduleHashes": hashes, "udfServerVersion": None, "nodeVersion": None})

    def _evaluate_schema(self, body: Any) -> Response:
        indexes = [
            {**index, "change": "added", "needsBackfill": True, "numDocs": self.documents.get(_table(index), 0)}
            for index in self.added_indexes
        ]
        tables = [
            {"name": name, "outcome": "mustWalk", "numDocs": documents, "sizeBytes": 0}
            for name, documents in self.documents.items()
        ]
        forecast = {"definitionPath": "", "schemaValidation": True, "tables": tables, "indexes": indexes}
        return JSONResponse({"componentSchemaEvaluations": {"": forecast}, "newComponentDefinitions": []})

    def _start_push(self, body: Any) -> Response:
        app = body["appDefinition"]
        changed = {m["path"]: _sha(m["source"] + (m.get("sourceMap") or "")) for m in app["changedModules"]}
        self._pending = {m["path"]: m["sha256"] for m in app["unchangedModuleHashes"]} | changed
        self._analyses |= {m["path"]: _analysis(m, self.internal) for m in app["changedModules"]}
        return JSONResponse(self._analysed(app))

    def _wait_for_schema(self, body: Any) -> Response:
        return JSONResponse({"type": "complete"})

    def _finish_push(self, body: Any) -> Response:
        if body["startPush"]["environmentVariables"] != self.env_vars:
            return _says(400, "RaceDetected", "Environment variables have changed during push")
        self.live = self._pending
        self.pushes += 1
        return JSONResponse({"authDiff": {"added": [], "removed": []}, "definitionDiffs": {}, "componentDiffs": {}})

    def _query(self, body: Any) -> Response:
        """Answer what every deployment is asked about itself: it has functions, and no tables."""
        pages = body["path"] != "_system/cli/modules:apiSpec"
        value = {"page": [], "isDone": True, "continueCursor": ""} if pages else self._function_spec()
        return JSONResponse({"status": "success", "value": value, "logLines": []})

    def _function_spec(self) -> list[dict[str, Any]]:
        return [
            {
                "identifier": f"{path}:{function['name']}",
                "functionType": function["udfType"],
                "visibility": function["visibility"],
                "args": function["args"],
                "returns": function["returns"],
            }
            for path in self.live
            for function in self._analyses.get(path, {"functions": []})["functions"]
        ]

    def _function(self, body: Any) -> Response:
        return JSONResponse({"status": "success", "value": body["args"], "logLines": []})

    def _run_test_function(self, body: Any) -> Response:
        return JSONResponse({"status": "success", "value": None, "logLines": []})

    def _shapes2(self, body: Any) -> Response:
        return JSONResponse({})

    def _stream_function_logs(self, body: Any) -> Response:
        return JSONResponse({"entries": [], "newCursor": 1})

    def _analysed(self, app: Any) -> dict[str, Any]:
        functions = {path: self._analyses[path] for path in self._pending if path in self._analyses}
        schema = {"tables": [{"tableName": "messages", "indexes": [], "documentType": None}], "schemaValidation": True}
        definition = {
            "path": "",
            "definitionType": {"type": "app"},
            "childComponents": [],
            "httpMounts": {},
            "exports": {"type": "branch", "branch": []},
        }
        udf_config = {"serverVersion": "1", "importPhaseRngSeed": None, "importPhaseUnixTimestamp": None}
        diffs = {"": {"added_indexes": self.added_indexes, "removed_indexes": self.removed_indexes}}
        return {
            "environmentVariables": self.env_vars,
            "externalDepsId": None,
            "componentDefinitionPackages": {"": {"storageKey": "x"}},
            "appAuth": [{"applicationID": "convex", "domain": value} for value in self.env_vars.values()],
            "analysis": {
                "": {
                    "definition": definition,
                    "schema": schema if app["schema"] else None,
                    "functions": functions,
                    "udfConfig": udf_config,
                }
            },
            "app": {
                "definitionPath": "",
                "componentPath": "",
                "args": {},
                "childComponents": {},
                "httpRoutes": {"httpModuleRoutes": None, "mounts": []},
                "exports": {},
            },
            "schemaChange": {"allocatedComponentIds": {}, "schemaIds": {"": "s1"}, "indexDiffs": diffs},
            "extra": 1.0,
        }


def reach_of(url: str, admin_key: str = ADMIN_KEY) -> Reach:
    """Return how a deployment is reached that is served at *url*."""
    target = Target(kind="self_hosted", name="double", url=url, site_url="http://site.test")
    return Reach(target, AdminKeyValue(SecretStr(admin_key)))


def cuttable(app: ASGIApp) -> ASGIApp:
    """Return *app*, whose faults can cut a connection."""

    async def with_connection(scope, receive, send):
        scope["connection"] = send.__self__.transport  # uvicorn's own
        await app(scope, receive, send)

    return with_connection


@asynccontextmanager
async def served(app: ASGIApp, on_close: Callable[[], None]):
    """Serve *app* in this event loop for as long as the block lasts, and give its URL."""
    # asyncio turns Nagle's algorithm off (40 ms an answer) only where the socket names its protocol.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))

    async def with_listeners(scope, receive, send):
        await app({**scope, "listeners": server.servers}, receive, send)

    config = uvicorn.Config(
        with_listeners, lifespan="off", log_config=None, log_level="critical", timeout_graceful_shutdown=1
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[sock])
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        on_close()
        await server.shutdown()


@asynccontextmanager
async def fake_deployment():
    """Serve a deployment in this event loop for as long as the block lasts."""
    deployment = FakeDeployment()
    async with served(deployment.app(), deployment.close) as deployment.url:
        yield deployment


def _analysis(module: Any, internal: set[str]) -> dict[str, Any]:
    exported = None if module["path"].startswith("_deps/") else _EXPORTS.search(module["source"])
    names = re.findall(r"(?:as )?(\w+)\s*(?:,|$)", exported[1]) if exported else []
    functions = [
        {"name": name, "pos": None, "udfType": "Query", "visibility": {"kind": kind}, "args": None, "returns": None}
        for name, kind in ((name, "internal" if name in internal else "public") for name in names)
    ]
    return {"functions": functions, "httpRoutes": None, "cronSpecs": None, "sourceMapped": None}


def _says(status: int, code: str, message: str) -> Response:
    return JSONResponse({"code": code, "message": message}, status)


def _table(index: Any) -> str:
    return index["name"].partition(".")[0]


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
