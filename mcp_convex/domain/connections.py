"""A principal's grant at Convex, the pages on which it is given, and the projects that it opens."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NewType

from pydantic import Field

from mcp_convex.domain.models import DeploymentType, Model, WorkspaceId

ConnectionId = NewType("ConnectionId", str)
TeamId = NewType("TeamId", int)
ProjectId = NewType("ProjectId", int)

Scope = Literal["team", "project"]
"""A team grant may create projects; a project grant opens one project, and is the smaller risk."""

ConnectionState = Literal["connecting", "connected", "failed", "disconnected"]
Grant = Literal["oauth", "cli_login", "team_token"]
"""How it came about: by the operator's OAuth application, by the login that the Convex CLI keeps, or by a token."""


class Team(Model):
    id: TeamId
    slug: str
    name: str


class Project(Model):
    id: ProjectId
    slug: str
    name: str
    team_id: TeamId
    team_slug: str | None = None


class Deployment(Model):
    """One of a project's deployments, as Convex's management API has it."""

    name: str = Field(description="Its unique readable name, such as `playful-otter-123`.")
    type: DeploymentType
    project_id: ProjectId
    reference: str = Field(description="Its name within the project, such as `dev/ada`.")
    url: str = Field(description="Where clients reach it, as Convex says: never built from the name.")
    is_default: bool = False
    expires_at: datetime | None = None
    dashboard_url: str | None = None


class Connection(Model):
    """A principal's grant at Convex. Its credential is in no model."""

    id: ConnectionId
    scope: Scope
    grant: Grant
    state: ConnectionState
    team: Team | None = None
    project: Project | None = None
    reason: str | None = Field(default=None, description="Why it failed, in words of ours.")
    retryable: bool = Field(default=False, description="Whether connecting again may succeed.")
    started_at: datetime
    ended_at: datetime | None = None


PagePurpose = Literal["connect", "team", "env_var", "ticket"]
"""
`connect` is the consent to a grant, `team` the choice among a login's teams, `env_var` the entry of one value, and
`ticket` no page but the way to one, for the browser of whom a trusted backend vouches for.
"""


class PendingPage(Model):
    """A page that waits for its person: one principal, one purpose, one use, a few minutes."""

    handle: str = Field(description="Random. It is in the URL and opens nothing by itself.")
    purpose: PagePurpose
    workspace: WorkspaceId
    subject: dict[str, str] = Field(description="What the page is about: a connection's id, an env var's name.")
    created_at: datetime
    expires_at: datetime


class OAuthFlow(Model):
    """One way to Convex's authorize page and back. The verifier is kept apart, encrypted."""

    state: str
    connection: ConnectionId
    browser: str = Field(description="The hash of the cookie of the browser that consented.")
    redirect_uri: str
    expires_at: datetime


ProvisioningStep = Literal["selecting_team", "creating_project", "creating_deployment", "initialising_env", "connected"]


class ProvisioningRun(Model):
    """How far the making of a project has come. Each step is recorded before its call, so that a restart resumes it."""

    id: str
    workspace: WorkspaceId
    connection: ConnectionId
    name: str = Field(description="The project's name, as it was asked for.")
    step: ProvisioningStep
    deployment_type: DeploymentType = "dev"
    reference: str = Field(description="Ours, so that a deployment whose answer was lost is found again.")
    team: Team | None = None
    project: Project | None = None
    deployment: Deployment | None = None
    updated_at: datetime
