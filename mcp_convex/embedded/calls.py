"""Calling functions over HTTP, and what a call's outcome looks like to each kind of client."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_convex.domain.errors import EngineFailed
from mcp_convex.embedded.access import Access, Caller
from mcp_convex.embedded.bodies import read_json
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.engine import EngineRefused
from mcp_convex.embedded.refusals import bad_request, forbidden
from mcp_convex.embedded.system import SystemQueries
from mcp_convex.embedded.wire import encoded_ts, fields, items, plain

_TRANSACTION_S = 10.0
_ACTION_S = 600.0


@dataclass(frozen=True, slots=True)
class Call:
    """Which function is called, and with what. `any` is whatever kind the function is of."""

    kind: str
    path: str
    args: Any
    component: str = ""
    via: str = "HttpApi"


class Functions:
    """Runs functions, the app's and the system's."""

    def __init__(self, deployment: Deployment, system: SystemQueries) -> None:
        self._deployment = deployment
        self._system = system

    async def run(self, call: Call, caller: Caller) -> dict[str, Any]:
        """
        Return the outcome: `value`, or `error` and perhaps `data`; with `logLines`, `reads` and `ts`.

        Raises:
            Refusal: The call is one for admins.
        """
        if not caller.admin and (call.component or call.path.startswith("_system/")):
            raise forbidden()
        request_id = secrets.token_hex(8)
        try:
            if call.path.startswith("_system/"):
                return await self._system.run(call.path, _only(call.args), call.component)
            outcome: dict[str, Any] = await self._deployment.call(
                "run",
                deadline_s=_TRANSACTION_S if call.kind in ("query", "mutation") else self._patience(call),
                kind=call.kind,
                path=call.path,
                component=call.component,
                args=call.args,
                identity=caller.identity,
                internal=caller.admin,
                call={"requestId": request_id, "caller": call.via},
            )
        except (EngineFailed, EngineRefused) as exc:
            outcome = {"error": exc.message, "logLines": []}
        if "error" in outcome:
            outcome["error"] = f"[Request ID: {request_id}] Server Error\n{outcome['error']}"
        return outcome

    def _patience(self, call: Call) -> float:
        module, _, name = call.path.removesuffix(":default").partition(":")
        live = self._deployment.live
        definition = live.components.get(call.component) if live else None
        if live is None or definition is None:
            return _TRANSACTION_S
        functions = live.analysis[definition]["functions"].get(f"{module.removesuffix('.js')}.js", {})
        kinds = {function["name"]: function["udfType"] for function in functions.get("functions", [])}
        return _ACTION_S if kinds.get(name or "default") == "Action" else _TRANSACTION_S


class CallRoutes:
    """`POST /api/{query,mutation,action,function}` and one-off queries."""

    def __init__(self, deployment: Deployment, access: Access, functions: Functions) -> None:
        self._deployment = deployment
        self._access = access
        self._functions = functions

    def routes(self) -> list[Route]:
        """Return the routes of function calls."""
        return [
            Route("/api/query", self.query, methods=["POST"]),
            Route("/api/query_at_ts", self.query, methods=["POST"]),
            Route("/api/query_ts", self.query_ts, methods=["POST"]),
            Route("/api/mutation", self.mutation, methods=["POST"]),
            Route("/api/action", self.action, methods=["POST"]),
            Route("/api/function", self.function, methods=["POST"]),
            Route("/api/run_test_function", self.one_off, methods=["POST"]),
        ]

    async def query(self, request: Request) -> Response:
        """Run a query."""
        return await self._answer("query", request)

    async def mutation(self, request: Request) -> Response:
        """Run a mutation."""
        return await self._answer("mutation", request)

    async def action(self, request: Request) -> Response:
        """Run an action."""
        return await self._answer("action", request)

    async def function(self, request: Request) -> Response:
        """Run a function of any kind; admins may name a component."""
        return await self._answer("any", request)

    async def query_ts(self, _: Request) -> Response:
        """Answer with the time of the latest commit. Queries run at the present whatever time they ask for."""
        return JSONResponse({"ts": encoded_ts(self._deployment.commits.ts)})

    async def one_off(self, request: Request) -> Response:
        """Run a query that is sent along, for admins."""
        body = await read_json(request)
        self._access.check_key(body.get("adminKey"))
        try:
            source = body["bundle"]["source"]
        except (KeyError, TypeError):
            raise bad_request("BadJsonBody", "There is no `bundle.source`.") from None
        outcome = await self._deployment.call(
            "runSource",
            deadline_s=_TRANSACTION_S,
            source=source,
            component=body.get("componentId") or "",
            args=body.get("args") or {},
            call={"requestId": secrets.token_hex(8), "caller": "Tester"},
        )
        return _response(outcome, body.get("format"))

    async def _answer(self, kind: str, request: Request) -> Response:
        caller = await self._access.caller(request)
        body = await read_json(request)
        path = body.get("path")
        if not isinstance(path, str):
            raise bad_request("BadJsonBody", "There is no `path`.")
        call = Call(kind, path, body.get("args", {}), component=body.get("componentPath") or "")
        return _response(await self._functions.run(call, caller), body.get("format"))


def _only(args: Any) -> dict[str, Any]:
    return fields(items(args)[0] if items(args) else args)


def _response(outcome: Mapping[str, Any], format_: Any) -> Response:
    shown = plain if format_ in (None, "json") else _unchanged
    if "error" in outcome:
        failure = {"status": "error", "errorMessage": outcome["error"], "logLines": outcome["logLines"]}
        return JSONResponse(failure | ({"errorData": shown(outcome["data"])} if "data" in outcome else {}))
    return JSONResponse({"status": "success", "value": shown(outcome["value"]), "logLines": outcome["logLines"]})


def _unchanged(value: Any) -> Any:
    return value
