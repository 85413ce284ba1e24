"""The management API's JSON, field for field (`@convex-dev/platform` 0.1.10). Nothing outside this package sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from pydantic import RootModel, SecretStr

from mcp_convex.convex_api.failures import unexpected
from mcp_convex.convex_api.wire import PublicUrl, Wire
from mcp_convex.domain.connections import Deployment, Project, ProjectId, TeamId
from mcp_convex.domain.deployment_urls import deployment_origin
from mcp_convex.domain.errors import InvalidArguments
from mcp_convex.domain.models import DeploymentType


class WireTokenDetails(Wire):
    type: Literal["teamToken", "projectToken"]
    team_id: int | None = None
    project_id: int | None = None


class WireTeam(Wire):
    id: int
    slug: str
    name: str


class WireProject(Wire):
    id: int
    slug: str
    name: str
    team_id: int
    team_slug: str | None = None

    def to_domain(self) -> Project:
        return Project(
            id=ProjectId(self.id),
            slug=self.slug,
            name=self.name,
            team_id=TeamId(self.team_id),
            team_slug=self.team_slug,
        )


class WirePagination(Wire):
    has_more: bool = False
    next_cursor: str | None = None


class WireProjects(Wire):
    items: tuple[WireProject, ...]
    pagination: WirePagination


class WireCreatedProject(Wire):
    id: int
    slug: str
    projects_remaining: int | None = None
    """The API before v1 told it; v1 does not."""


class WireDeployment(Wire):
    """A deployment in the cloud, or (`local`) one that the CLI runs on a person's own machine."""

    kind: Literal["cloud", "local"]
    name: str
    deployment_type: DeploymentType
    project_id: int
    reference: str = ""
    deployment_url: PublicUrl | None = None
    is_default: bool = False
    expires_at: float | None = None
    """Milliseconds since 1970."""

    def to_domain(self, dashboard_host: str) -> Deployment:
        """
        Return it as the domain has it.

        Raises:
            UnexpectedAnswer: It has no URL that a key may be sent to.
        """
        try:
            url = deployment_origin(self.deployment_url or "")
        except InvalidArguments:
            raise unexpected("Convex gave no URL for the deployment that a key may be sent to.") from None
        return Deployment(
            name=self.name,
            type=self.deployment_type,
            project_id=ProjectId(self.project_id),
            reference=self.reference,
            url=url,
            is_default=self.is_default,
            expires_at=None if self.expires_at is None else datetime.fromtimestamp(self.expires_at / 1000, UTC),
            dashboard_url=f"{dashboard_host}/d/{quote(self.name, safe='')}",
        )


class WireDeployKey(Wire):
    deploy_key: SecretStr


class WireUrl(RootModel[PublicUrl]):
    """A URL and nothing around it."""
