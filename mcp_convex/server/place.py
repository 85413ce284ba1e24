"""Where a workspace's files are, where this server keeps its notes about it, and where the packed assets stand."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from mcp_convex.domain.errors import DirectoryUnusable
from mcp_convex.domain.models import LOCAL_PRINCIPAL, PrincipalId, WorkspaceId
from mcp_convex.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    root: Path
    state: Path
    workspace: WorkspaceId

    @property
    def owner(self) -> tuple[PrincipalId, WorkspaceId]:
        """Whose the workspace is, in the local shape, and which it is."""
        return LOCAL_PRINCIPAL, self.workspace

    def node_modules(self, _: WorkspaceId) -> Path:
        """Return where functions that run in Node find the packages that are not bundled with them."""
        return self.root / "node_modules"


def find_place(settings: Settings) -> Place:
    """
    Return the place of the workspace that *settings* name.

    Raises:
        DirectoryUnusable: It is not a directory.
    """
    root = settings.workspace.resolve()
    if not root.is_dir():
        raise DirectoryUnusable(
            f"The workspace `{root}` is not a directory.",
            next_step="Create it, or start the server with --workspace for another.",
        )
    # The name is for people who look into the data directory; the hash tells two of one name apart.
    name = re.sub(r"[^a-z0-9]+", "-", root.name.lower()).strip("-")[:24] or "workspace"
    workspace = WorkspaceId(f"{name}-{hashlib.sha256(str(root).encode()).hexdigest()[:10]}")
    return Place(root=root, state=settings.data_dir / "workspaces" / workspace, workspace=workspace)


def find_asset(name: str) -> Path:
    """Return a folder that stands at the repository's root, and in the package once that is installed."""
    package = Path(__file__).parents[1]
    packed = package / name
    return packed if packed.is_dir() else package.parent / name
