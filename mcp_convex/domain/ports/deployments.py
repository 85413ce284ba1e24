"""Deployments, and the credential that opens one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from mcp_convex.domain.models import (
    Arguments,
    ConvexFunction,
    DeploymentInfo,
    FunctionResult,
    LogPage,
    Page,
    Table,
    Target,
    WorkspaceId,
)
from mcp_convex.domain.secrets import AdminKeyValue


@dataclass(frozen=True, slots=True)
class Reach:
    """A deployment and the credential that opens it. Never printed, never serialised."""

    target: Target
    credential: AdminKeyValue = field(repr=False)


class DeploymentApi(ABC):
    """
    One deployment over HTTP, whichever kind it is.

    Every method raises `CredentialRejected` (401), `ActionNotAllowed` (403), `NotFound`
    (404), `RateLimited` (429, 503), `ConvexUnreachable` or `UnexpectedAnswer`.
    """

    @abstractmethod
    async def info(self, reach: Reach) -> DeploymentInfo:
        """Return what the deployment says of itself."""

    @abstractmethod
    async def canonical_urls(self, reach: Reach) -> tuple[str, str]:
        """Return the public URL for clients, and the one for HTTP actions."""

    @abstractmethod
    async def list_functions(self, reach: Reach) -> tuple[ConvexFunction, ...]:
        """Return every function that is live, sorted by name."""

    @abstractmethod
    async def module_hashes(self, reach: Reach) -> Mapping[str, str]:
        """Return the SHA-256 of each module that is live, source and source map, by its path."""

    @abstractmethod
    async def run_function(self, reach: Reach, name: str, args: Arguments) -> FunctionResult:
        """
        Run the query, mutation or action called *name*, public or internal.

        Raises:
            FunctionThrew: It, or one of its validators, threw.
        """

    @abstractmethod
    async def run_query(self, reach: Reach, source: str) -> FunctionResult:
        """
        Run *source*, a module whose default export is a query, once and read-only.

        Raises:
            FunctionThrew: It threw, or it is not a query.
        """

    @abstractmethod
    async def list_tables(self, reach: Reach) -> tuple[Table, ...]:
        """Return every table, with or without a schema, sorted by name."""

    @abstractmethod
    async def read_table(
        self, reach: Reach, table: str, *, limit: int, cursor: str | None = None, newest_first: bool = True
    ) -> Page:
        """Return up to *limit* documents of *table*."""

    @abstractmethod
    async def read_logs(self, reach: Reach, *, cursor: str | None, wait_s: float) -> LogPage:
        """Return what was logged after *cursor*, waiting up to *wait_s* seconds for something."""

    @abstractmethod
    async def list_env_vars(self, reach: Reach) -> tuple[str, ...]:
        """Return the names, never the values, of the env vars that are set."""

    @abstractmethod
    async def set_env_vars(self, reach: Reach, changes: Mapping[str, str | SecretStr | None]) -> None:
        """Set each name to its value, or unset it where the value is None; all or none."""


class EmbeddedDeployments(ABC):
    """The deployments that run on this machine, one a workspace."""

    @abstractmethod
    async def ensure(self, workspace: WorkspaceId) -> Reach:
        """
        Return the workspace's embedded deployment, started if it was not running.

        Raises:
            ToolMissing: There is no Node, or it is too old.
            PortInUse: Its port is taken by another program.
        """
