"""Where a workspace's files are, where this server keeps its notes about it, and where the packed assets stand."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from mcp_convex.domain.errors import DirectoryUnusable, TooManyWorkspaces
from mcp_convex.domain.models import LOCAL_PRINCIPAL, PrincipalId, WorkspaceId
from mcp_convex.settings import Settings

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Place:
    root: Path
    state: Path
    workspace: WorkspaceId
    principal: PrincipalId = LOCAL_PRINCIPAL
    served: bool = False
    """Whether calls come from elsewhere, and what is this machine's person's own may not serve them."""

    @property
    def owner(self) -> tuple[PrincipalId, WorkspaceId]:
        """Whose the workspace is, and which it is."""
        return self.principal, self.workspace

    def node_modules(self, _: WorkspaceId) -> Path:
        """Return where functions that run in Node find the packages that are not bundled with them."""
        return self.root / "node_modules"


def find_place(settings: Settings) -> Place:
    """
    Return the place of the workspace that *settings* name.

    Raises:
        DirectoryUnusable: It is not a directory, or one that holds everything else.
    """
    root = settings.workspace.resolve()
    if not root.is_dir():
        raise DirectoryUnusable(
            f"The workspace `{root}` is not a directory.",
            next_step="Create it, or start the server with --workspace for another.",
        )
    if settings.sandbox == "local" and root in {Path(root.anchor), Path.home().resolve()}:
        # Where some clients start a server that is told nothing else: a push would make the whole of it a project.
        raise DirectoryUnusable(
            f"`{root}` is no app's directory, but holds everything that is here.",
            next_step="Name the app's directory, with --workspace or MCP_CONVEX_WORKSPACE.",
        )
    # The name is for people who look into the data directory; the hash tells two of one name apart.
    name = _readable(root.name) or "workspace"
    workspace = WorkspaceId(f"{name}-{_hash(str(root))[:10]}")
    return Place(root=root, state=settings.data_dir / "workspaces" / workspace, workspace=workspace)


def make_place(settings: Settings, principal: PrincipalId, name: str) -> Place:
    """
    Return the place of *principal*'s workspace *name*, made unless it is there.

    Raises:
        DirectoryUnusable: It cannot be made.
        TooManyWorkspaces: They have as many as they may.
    """
    top = settings.workspaces_dir or settings.data_dir / "served"
    limit = settings.principal_workspaces
    root = top / f"{_readable(principal.partition(' ')[2] or principal)}-{_hash(principal)[:16]}" / name
    try:
        if not root.exists() and root.parent.exists() and sum(1 for _ in root.parent.iterdir()) >= limit:
            raise TooManyWorkspaces(
                f"There is no workspace `{name}`, and another would be more than {limit}.",
                next_step="Use one that there is: the URL names it, as `?workspace=`. Or ask the operator.",
            )
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise DirectoryUnusable(
            f"The workspace `{name}` cannot be made: {exc.strerror}.",
            next_step="Tell the operator, who has to look after MCP_CONVEX_WORKSPACES_DIR.",
        ) from None
    workspace = _served_id(principal, name)
    state = settings.data_dir / "workspaces" / workspace
    return Place(root=root, state=state, workspace=workspace, principal=principal, served=True)


def is_served(principal: PrincipalId, workspace: WorkspaceId) -> bool:
    """Say whether `make_place` makes a place for *workspace*, and not `find_place`."""
    return workspace == _served_id(principal, name_of(workspace))


def name_of(workspace: WorkspaceId) -> str:
    """Return what its principal calls a workspace that `make_place` has made."""
    return workspace.rpartition("-")[0]


def _served_id(principal: PrincipalId, name: str) -> WorkspaceId:
    # The hash is of both, so that two principals' workspaces of one name differ in all that is named after them.
    return WorkspaceId(f"{name}-{_hash(f'{principal} {name}')[:16]}")


def _readable(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name.lower()).strip("-")[:24]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def find_asset(name: str) -> Path:
    """Return a folder that stands at the repository's root, and in the package once that is installed."""
    package = Path(__file__).parents[1]
    packed = package / name
    return packed if packed.is_dir() else package.parent / name
