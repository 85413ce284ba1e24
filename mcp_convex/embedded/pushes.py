"""The push protocol: `get_config_hashes` and `deploy2/*`, as the CLI speaks it."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_convex.embedded import diffs
from mcp_convex.embedded.access import Access
from mcp_convex.embedded.bodies import read_json
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.push import Push
from mcp_convex.embedded.refusals import bad_request
from mcp_convex.embedded.wire import fields

_DEFAULT_NODE = "20"


class PushRoutes:
    """Every request carries the admin key in its body; the header is not asked."""

    def __init__(self, deployment: Deployment, access: Access) -> None:
        self._deployment = deployment
        self._access = access

    def routes(self) -> list[Route]:
        """Return the routes of a push, in the order in which the CLI calls them."""
        return [
            Route("/api/get_config_hashes", self.config_hashes, methods=["POST"]),
            Route("/api/deploy2/evaluate_schema", self.evaluate_schema, methods=["POST"]),
            Route("/api/deploy2/evaluate_push", self.evaluate_push, methods=["POST"]),
            Route("/api/deploy2/start_push", self.start, methods=["POST"]),
            Route("/api/deploy2/wait_for_schema", self.wait_for_schema, methods=["POST"]),
            Route("/api/deploy2/finish_push", self.finish, methods=["POST"]),
            Route("/api/deploy2/report_push_completed", self.report, methods=["POST"]),
        ]

    async def config_hashes(self, request: Request) -> Response:
        """Answer with the hashes of the live modules, so that the CLI sends the others only."""
        await self._body(request)
        await self._deployment.warm_up()
        live = self._deployment.live
        app = live.definitions[0] if live else None
        return JSONResponse(
            {
                "config": {"functions": live.functions if live else "convex/"},
                "moduleHashes": [
                    {"path": module.path, "hash": module.sha256, "environment": module.environment}
                    for module in (app.modules if app else [])
                ],
                "udfServerVersion": app.server_version if app else None,
                "nodeVersion": (live.node_version if live else None) or _DEFAULT_NODE,
                "nodeDependencies": [],
            }
        )

    async def evaluate_schema(self, request: Request) -> Response:
        """Answer with what validating the pushed schemas would take."""
        push = await self._deployment.prepare(await self._body(request))
        counts = {component: await self._counts(component) for component in push.schemas}
        return JSONResponse(diffs.schema_evaluation(self._deployment.live, push, counts))

    async def evaluate_push(self, request: Request) -> Response:
        """Answer with the indexes that would change, for CLIs before `evaluate_schema`."""
        push = await self._deployment.prepare(await self._body(request))
        return JSONResponse({"schemaChange": self._schema_change(push)})

    async def start(self, request: Request) -> Response:
        """Analyse what is pushed, and answer with all that the CLI generates types from."""
        body = await self._body(request)
        push = await self._deployment.prepare(body)
        if not body.get("dryRun"):
            self._deployment.started.claim_schema(push)
        return JSONResponse(
            {
                "environmentVariables": self._deployment.env.values,
                "externalDepsId": None,
                "componentDefinitionPackages": {path: {} for path in push.analysis},
                "appAuth": push.app_auth,
                "analysis": push.analysis,
                "app": push.app,
                "schemaChange": self._schema_change(push),
            }
        )

    async def wait_for_schema(self, request: Request) -> Response:
        """Answer whether the stored documents fit the pushed schemas."""
        body = await self._body(request)
        push = self._pending(body.get("schemaChange"))
        if not body.get("dryRun") and self._deployment.started.overtaken(push):
            return JSONResponse({"type": "raceDetected"})
        verdict = await self._deployment.check(push)
        if verdict["ok"]:
            return JSONResponse({"type": "complete"})
        return JSONResponse(
            {
                "type": "failed",
                "error": verdict["error"],
                "componentPath": verdict["component"],
                "tableName": verdict["table"],
            }
        )

    async def finish(self, request: Request) -> Response:
        """Make the push live, and answer with what it changed."""
        body = await self._body(request)
        started = fields(body.get("startPush"))
        push = self._pending(started.get("schemaChange"))
        diff = diffs.finish_diff(self._deployment.live, push)
        if not body.get("dryRun"):
            await self._deployment.finish(push, fields(started.get("environmentVariables")))
        return JSONResponse(diff)

    async def report(self, request: Request) -> Response:
        """Take note that the CLI is done; nothing is kept of it."""
        await self._body(request)
        return JSONResponse({})

    async def _body(self, request: Request) -> dict[str, Any]:
        body = await read_json(request)
        self._access.check_key(body.get("adminKey"))
        return body

    def _pending(self, schema_change: Any) -> Push:
        push_id = fields(fields(schema_change).get("schemaIds")).get("")
        if not isinstance(push_id, str):
            raise bad_request("BadPushRequest", "The push does not say which it is.")
        return self._deployment.started.get(push_id)

    def _schema_change(self, push: Push) -> dict[str, Any]:
        return {
            "allocatedComponentIds": {},
            "schemaIds": {"": push.id},
            "indexDiffs": diffs.index_diffs(self._deployment.live, push),
        }

    async def _counts(self, component: str) -> dict[str, int]:
        answer = await self._deployment.call("system", name="tables", args={"component": component})
        return {table["name"]: table["count"] for table in answer["tables"]}
