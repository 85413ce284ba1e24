"""What the deployment says of itself: its name, its URLs, its env vars, and what its documents look like."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mcp_convex import __version__
from mcp_convex.embedded.access import Access
from mcp_convex.embedded.bodies import read_json
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.shapes import shapes
from mcp_convex.embedded.wire import fields, items


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
