"""
The few answers of Convex's provisioning host without which the CLI does not take a deploy key.

With `CONVEX_PROVISION_HOST` at the cloud URL and `CONVEX_DEPLOY_KEY` at `dev:` and the admin key,
the CLI and Convex's own MCP server use this deployment as they use one of Convex's cloud.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_convex.embedded.access import Access
from mcp_convex.embedded.bodies import read_json
from mcp_convex.embedded.deployment import Deployment

_TEAM = "embedded"


class ProvisionRoutes:
    def __init__(self, deployment: Deployment, access: Access) -> None:
        self._deployment = deployment
        self._access = access

    def routes(self) -> list[Route]:
        """Return the routes of the provisioning host."""
        return [
            Route("/api/authorize", self.authorize, methods=["HEAD", "GET"]),
            Route("/api/check_opt_ins", self.opt_ins, methods=["POST"]),
            Route("/api/deployment/url_for_key", self.url_for_key, methods=["POST"]),
            Route("/api/deployment/team_and_project_for_key", self.team_and_project, methods=["POST"]),
            Route("/api/deployment/{name}/team_and_project", self.team_and_project_of),
        ]

    async def authorize(self, request: Request) -> Response:
        """Answer whether the bearer has the admin key."""
        self._access.check_key(request.headers.get("authorization", "").removeprefix("Bearer "))
        return Response()

    async def opt_ins(self, _: Request) -> Response:
        """Answer that there is nothing to agree to."""
        return JSONResponse({"optInsToAccept": []})

    async def url_for_key(self, request: Request) -> Response:
        """Answer where the deployment is that the key opens: here."""
        self._access.check_key((await read_json(request)).get("deployKey"))
        return JSONResponse(self._deployment.urls.cloud)

    async def team_and_project(self, request: Request) -> Response:
        """Answer with the names that stand for a team and a project."""
        self._access.check_key((await read_json(request)).get("deployKey"))
        return self._names()

    async def team_and_project_of(self, request: Request) -> Response:
        """Answer as `team_and_project`, to one who has the key as a bearer."""
        await self.authorize(request)
        return self._names()

    def _names(self) -> Response:
        names = {"team": _TEAM, "project": self._deployment.name, "teamId": 0, "projectId": 0}
        return JSONResponse({**names, "reference": None, "isDefault": True})
