"""What one can ask for, one class a noun. Knows the domain and its ports, not MCP and not HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a start of the server needs none of them
    from mcp_convex.services.audit import AuditService
    from mcp_convex.services.auth_keys import AuthKeyService
    from mcp_convex.services.connections import ConnectionService
    from mcp_convex.services.data import DataService
    from mcp_convex.services.dev_servers import DevServerService
    from mcp_convex.services.docs import DocService
    from mcp_convex.services.env_vars import EnvVarService
    from mcp_convex.services.files import FileService
    from mcp_convex.services.functions import FunctionService
    from mcp_convex.services.grants import GrantService
    from mcp_convex.services.logs import LogService
    from mcp_convex.services.overview import OverviewService
    from mcp_convex.services.pages import PageService
    from mcp_convex.services.projects import ProjectService
    from mcp_convex.services.pushes import PushService
    from mcp_convex.services.snapshots import SnapshotService
    from mcp_convex.services.source_checks import SourceCheckService
    from mcp_convex.services.targets import TargetService
    from mcp_convex.services.templates import TemplateService


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """One principal's services over one workspace."""

    files: FileService
    templates: TemplateService
    docs: DocService
    source_checks: SourceCheckService
    pushes: PushService
    dev_servers: DevServerService
    snapshots: SnapshotService
    functions: FunctionService
    data: DataService
    logs: LogService
    targets: TargetService
    connections: ConnectionService
    grants: GrantService
    pages: PageService
    projects: ProjectService
    env_vars: EnvVarService
    auth_keys: AuthKeyService
    audit: AuditService
    overview: OverviewService
