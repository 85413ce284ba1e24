"""Convex's OAuth and management API, and the pages on which a person consents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime

from mcp_convex.domain.connections import Deployment, PendingPage, Project, ProjectId, Scope, Team, TeamId
from mcp_convex.domain.models import DeploymentType, PrincipalId
from mcp_convex.domain.secrets import AccessTokenValue, AdminKeyValue, VerifierValue


class OAuthApi(ABC):
    """Convex's OAuth endpoints, for the operator's application."""

    @abstractmethod
    def authorize_url(self, *, scope: Scope, redirect_uri: str, state: str, challenge: str) -> str:
        """Return where the browser goes for consent at Convex; *challenge* is the S256 PKCE challenge."""

    @abstractmethod
    async def exchange(self, code: str, *, redirect_uri: str, verifier: VerifierValue) -> AccessTokenValue:
        """
        Return the token for a code.

        Raises:
            CredentialRejected: The code is expired or used.
            SettingsInvalid: Convex does not accept the operator's application.
        """


@dataclass(frozen=True, slots=True)
class NewDeployment:
    """A deployment to create in a project."""

    type: DeploymentType
    reference: str
    is_default: bool = False
    """The one that the person's own `npx convex dev` takes in this project. For dev deployments only."""
    expires_at: datetime | None = None


class ManagementApi(ABC):
    """
    Convex's management API, with one connection's token.

    Every method raises what `DeploymentApi` raises, and `QuotaReached`, `SsoRequired`
    where Convex refuses by those names.
    """

    @abstractmethod
    async def details(self, token: AccessTokenValue) -> tuple[tuple[Team, ...], Project | None]:
        """Return what *token* opens: one team, for a project grant the project, and for a login all of its teams."""

    @abstractmethod
    async def deployment_url(self, key: AdminKeyValue) -> str:
        """Return the URL of the one deployment that a deploy key opens."""

    @abstractmethod
    async def list_projects(
        self, token: AccessTokenValue, team: TeamId, *, search: str | None = None
    ) -> tuple[Project, ...]:
        """Return the team's projects whose name or slug contains *search*, newest first."""

    @abstractmethod
    async def create_project(self, token: AccessTokenValue, team: TeamId, name: str) -> tuple[Project, int | None]:
        """
        Create a project without a deployment; say how many more the team may have, where Convex tells.

        Where the answer to it is lost, the newest project of that name is returned instead of a second one.
        """

    @abstractmethod
    async def list_deployments(self, token: AccessTokenValue, project: ProjectId) -> tuple[Deployment, ...]:
        """Return the project's deployments."""

    @abstractmethod
    async def default_dev(self, token: AccessTokenValue, project: ProjectId) -> Deployment | None:
        """Return the dev deployment that the person's own `npx convex dev` takes in this project."""

    @abstractmethod
    async def create_deployment(self, token: AccessTokenValue, project: ProjectId, new: NewDeployment) -> Deployment:
        """Create a deployment. Where the answer to it is lost, the one of that reference is returned."""

    @abstractmethod
    async def create_deploy_key(self, token: AccessTokenValue, deployment: Deployment, name: str) -> AdminKeyValue:
        """Return a key for *deployment*. Under OAuth it is the token itself, re-prefixed: as wide as the grant."""

    @abstractmethod
    async def revoke(self, token: AccessTokenValue) -> bool:
        """Revoke *token* where Convex has a way to; say whether it did."""


class Pages(ABC):
    """The pages on which a person consents or types a secret. How a page knows its person is its own affair."""

    @abstractmethod
    async def link(self, page: PendingPage) -> str:
        """
        Return the URL of *page*, serving it from now on.

        Raises:
            PortInUse: The port that pages are served on is taken.
        """

    @property
    @abstractmethod
    def callback_url(self) -> str:
        """The redirect URI that is registered with the operator's OAuth application."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A browser's request for a page, as far as its connection tells."""

    browser: tuple[str, int]
    """The address and port that it comes from."""
    server: tuple[str, int]
    """The address and port that it came to."""


class PagePerson(ABC):
    """How a page knows its person."""

    @abstractmethod
    async def who(self, visit: Visit) -> PrincipalId | None:
        """Return whose browser it is, or None where nobody can tell."""


class CliLogin(ABC):
    """The login that Convex's own CLI keeps on this machine for its person."""

    @abstractmethod
    def exists(self) -> bool:
        """Say whether there seems to be one, without reading it."""

    @abstractmethod
    async def read(self) -> AccessTokenValue:
        """
        Return it. Call this only with the person's consent.

        Raises:
            NotConnected: There is none.
        """
