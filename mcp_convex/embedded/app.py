"""Putting a deployment's parts together, as two applications: one for clients and the CLI, one for HTTP actions."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.secrets import AdminKeyValue
from mcp_convex.embedded.access import Access
from mcp_convex.embedded.auth import AdminKey
from mcp_convex.embedded.calls import CallRoutes, Functions
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.engine import EngineRefused
from mcp_convex.embedded.files import FileRoutes
from mcp_convex.embedded.http_actions import HttpActions
from mcp_convex.embedded.identity import Identities
from mcp_convex.embedded.info import InfoRoutes
from mcp_convex.embedded.logs import LogRoutes
from mcp_convex.embedded.places import Place
from mcp_convex.embedded.provision import ProvisionRoutes
from mcp_convex.embedded.pushes import PushRoutes
from mcp_convex.embedded.refusals import Refusal
from mcp_convex.embedded.sync import SyncRoutes
from mcp_convex.embedded.system import SystemQueries
from mcp_convex.embedded.transfer import TransferRoutes

# A page on the web can let its own host name lead to this machine; the name it then sends gives it away.
_LOOPBACK_ONLY = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"], www_redirect=False)
_ANY_ORIGIN = Middleware(
    CORSMiddleware, allow_origins=["*"], allow_methods=["*"], allow_headers=["*"], expose_headers=["*"], max_age=86400
)


def applications(deployment: Deployment, key: AdminKeyValue, place: Place) -> tuple[Starlette, Starlette]:
    """Return what answers on the cloud URL, and what answers on the site URL."""
    identities = Identities(lambda: deployment.live.app_auth if deployment.live else [])
    access = Access(AdminKey(deployment.name, key), identities)
    system = SystemQueries(deployment)
    functions = Functions(deployment, system)
    cloud = Starlette(
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
    site = Starlette(
        routes=HttpActions(deployment, access).routes(), middleware=[_LOOPBACK_ONLY], exception_handlers=_ANSWERS
    )
    return cloud, site


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
