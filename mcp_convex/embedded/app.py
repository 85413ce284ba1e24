"""Putting a deployment's parts together, as two applications: one for clients and the CLI, one for HTTP actions."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mcp_convex import __version__
from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.secrets import AdminKeyValue
from mcp_convex.embedded.access import Access
from mcp_convex.embedded.auth import AdminKey
from mcp_convex.embedded.bodies import read_bytes, read_json
from mcp_convex.embedded.calls import CallRoutes, Functions
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.engine import EngineRefused
from mcp_convex.embedded.files import FileRoutes
from mcp_convex.embedded.identity import Identities
from mcp_convex.embedded.logs import LogRoutes
from mcp_convex.embedded.places import Place
from mcp_convex.embedded.provision import ProvisionRoutes
from mcp_convex.embedded.pushes import PushRoutes
from mcp_convex.embedded.refusals import Refusal
from mcp_convex.embedded.shapes import shapes
from mcp_convex.embedded.sync import SyncRoutes
from mcp_convex.embedded.system import SystemQueries
from mcp_convex.embedded.transfer import TransferRoutes
from mcp_convex.embedded.wire import fields, items

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]
_HTTP_ACTION_S = 600.0
_MAX_HTTP_BODY = 20 * 1024 * 1024

# A page on the web can let its own host name lead to this machine; the name it then sends gives it away.
_LOOPBACK_ONLY = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
_ANY_ORIGIN = Middleware(
    CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"], expose_headers=["*"], max_age=86400
)


def cloud_app(deployment: Deployment, key: AdminKeyValue, place: Place) -> Starlette:
    """Return what answers on the cloud URL."""
    access = Access(
        AdminKey(deployment.name, key), Identities(lambda: deployment.live.app_auth if deployment.live else [])
    )
    system = SystemQueries(deployment)
    functions = Functions(deployment, system)
    return Starlette(
        routes=[
            *InfoRoutes(deployment, access).routes(),
            *ProvisionRoutes(deployment, access).routes(),
            *PushRoutes(deployment, access).routes(),
            *CallRoutes(deployment, access, functions).routes(),
            *LogRoutes(deployment.logs, access).routes(),
            *TransferRoutes(deployment, access, system, place).routes(),
            *FileRoutes(deployment, place.engine).routes(),
            *SyncRoutes(deployment, access, functions).routes(),
        ],
        middleware=[_LOOPBACK_ONLY, _ANY_ORIGIN],
        exception_handlers=_ANSWERS,
    )


def site_app(deployment: Deployment) -> Starlette:
    """Return what answers on the site URL: the app's own HTTP actions, which see to CORS themselves."""

    async def http_action(request: Request) -> Response:
        body = await read_bytes(request, _MAX_HTTP_BODY)
        answer = await deployment.call(
            "http",
            deadline_s=_HTTP_ACTION_S,
            method=request.method,
            url=f"{deployment.urls.site}{request.url.path}{'?' * bool(request.url.query)}{request.url.query}",
            headers=[[name, value] for name, value in request.headers.items()],
            body=base64.b64encode(body).decode() if body else None,
            call={"requestId": secrets.token_hex(8), "caller": "HttpEndpoint"},
        )
        response = Response(base64.b64decode(answer["body"] or ""), status_code=answer["status"])
        for name, value in answer["headers"]:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                response.headers.append(name, value)
        return response

    return Starlette(
        routes=[Route("/{path:path}", http_action, methods=_METHODS)],
        middleware=[_LOOPBACK_ONLY],
        exception_handlers=_ANSWERS,
    )


class InfoRoutes:
    """What the deployment says of itself, and its env vars."""

    def __init__(self, deployment: Deployment, access: Access) -> None:
        self._deployment = deployment
        self._access = access

    def routes(self) -> list[Route]:
        """Return the routes that tell about the deployment."""
        return [
            Route("/", self.index),
            Route("/version", self.version),
            Route("/instance_name", self.instance_name),
            Route("/instance_version", self.version),
            Route("/api/v1/get_canonical_urls", self.canonical_urls),
            Route("/api/v1/deployment_info", self.deployment_info),
            Route("/api/v1/list_environment_variables", self.list_env),
            Route("/api/v1/update_environment_variables", self.update_env, methods=["POST"]),
            Route("/api/update_environment_variables", self.update_env, methods=["POST"]),
            Route("/api/shapes2", self.shapes),
            Route("/api/check_admin_key", self.check_admin_key),
        ]

    async def index(self, _: Request) -> Response:
        """Tell a person who opens the URL what this is."""
        return PlainTextResponse(
            "This is an embedded Convex deployment of mcp-convex, for trying things on this machine.\n"
        )

    async def version(self, _: Request) -> Response:
        """Answer with this package's version."""
        return PlainTextResponse(f"mcp-convex-embedded-{__version__}")

    async def instance_name(self, _: Request) -> Response:
        """Answer with the deployment's name."""
        return PlainTextResponse(self._deployment.name)

    async def canonical_urls(self, request: Request) -> Response:
        """Answer with the deployment's public URLs."""
        self._access.check_admin(request)
        urls = self._deployment.urls
        return JSONResponse({"convexCloudUrl": urls.cloud, "convexSiteUrl": urls.site})

    async def deployment_info(self, request: Request) -> Response:
        """Answer that this is no deployment of Convex's cloud."""
        self._access.check_admin(request)
        return JSONResponse({"kind": "selfHosted"})

    async def list_env(self, request: Request) -> Response:
        """Answer with every env var."""
        self._access.check_admin(request)
        return JSONResponse({"environmentVariables": self._deployment.env.values})

    async def update_env(self, request: Request) -> Response:
        """Set and unset env vars, all or none."""
        self._access.check_admin(request)
        changes = items((await read_json(request)).get("changes"))
        await self._deployment.set_env([fields(change) for change in changes])
        return Response()

    async def shapes(self, request: Request) -> Response:
        """Answer with the schemas that the stored documents suggest."""
        self._access.check_admin(request)
        inferred = await self._deployment.call("system", name="shapes", args={})
        return JSONResponse(shapes(inferred["tables"]))

    async def check_admin_key(self, request: Request) -> Response:
        """Answer whether the key is right."""
        self._access.check_admin(request)
        return JSONResponse({"success": True})


async def _said_no(_: Request, exc: Exception) -> Response:
    match exc:
        case Refusal():
            status, code, message = exc.status, exc.code, exc.message
        case EngineRefused():
            status = 400 if exc.code in ("BadRequest", "InvalidDocument") else 500
            code, message = exc.code, exc.message
        case _:
            status, code, message = 500, "InternalServerError", str(exc)
    return JSONResponse({"code": code, "message": message}, status_code=status)


_ANSWERS: dict[Any, Any] = dict.fromkeys((Refusal, EngineRefused, ConvexMcpError, OSError), _said_no)
