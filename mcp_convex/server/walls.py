"""What has to be between several principals' programs, where they run on this machine."""

from __future__ import annotations

from mcp_convex.domain.errors import IsolationUnavailable
from mcp_convex.domain.models import WorkspaceId
from mcp_convex.domain.ports import EmbeddedDeployments, Launcher, Reach
from mcp_convex.sandboxes import ConfinedLauncher
from mcp_convex.settings import Settings


def check_walls(settings: Settings) -> None:
    """
    Return if principals' commands are kept apart: by this machine, or since they run at E2B.

    Raises:
        IsolationUnavailable: They would run here without any wall between them.
    """
    if settings.sandbox == "local" and not has_walls(ConfinedLauncher(settings.isolation)):
        raise IsolationUnavailable(
            "Commands of several principals would run without any wall between them.",
            next_step="Make bubblewrap or Landlock work on this machine, or set MCP_CONVEX_ISOLATION to one that does.",
        )


def has_walls(launcher: Launcher) -> bool:
    """Say whether *launcher* keeps the programs that it starts apart."""
    return launcher.mode != "none"


def admitted(embedded: EmbeddedDeployments, settings: Settings, launcher: Launcher) -> EmbeddedDeployments:
    """Return *embedded* for a server of several principals, or in its place one that says why there are none."""
    if not has_walls(launcher):
        # Their functions are several principals' programs, too.
        return NoEmbeddedDeployments("its machine cannot keep several people's functions apart")
    if settings.database_url is not None and settings.sandbox == "e2b":
        # Another server would have another one for the same workspace.
        return NoEmbeddedDeployments("it is one of several, and keeps nothing on its machine")
    return embedded


class NoEmbeddedDeployments(EmbeddedDeployments):
    def __init__(self, why: str) -> None:
        self._why = why

    async def ensure(self, workspace: WorkspaceId) -> Reach:  # noqa: ARG002 - the port's
        raise IsolationUnavailable(
            f"This server has no embedded deployments: {self._why}.",
            next_step="Call `connect`, then `create_project` or `link_project` for a deployment in Convex's cloud.",
        )
