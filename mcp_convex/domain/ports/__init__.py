"""What the services need from the outside. Adapters implement these; tests fake them."""

from mcp_convex.domain.ports.announcing import Announcements, NoAnnouncements
from mcp_convex.domain.ports.checks import ReadFile, SourceChecks
from mcp_convex.domain.ports.connecting import (
    CliLogin,
    ManagementApi,
    NewDeployment,
    OAuthApi,
    PagePerson,
    Pages,
    Visit,
)
from mcp_convex.domain.ports.connection_store import AuditStore, ConnectionStore, PageStore, ProvisioningStore
from mcp_convex.domain.ports.deployments import DeploymentApi, EmbeddedDeployments, Reach
from mcp_convex.domain.ports.dev_servers import DevServerStore
from mcp_convex.domain.ports.gate import Gate, GateSession, HeldSession, PushTerms
from mcp_convex.domain.ports.journal import FileJournal, JournalState
from mcp_convex.domain.ports.passages import Passage, PassageIndex
from mcp_convex.domain.ports.progress import NoProgress, OnOutput, OnStage, Progress
from mcp_convex.domain.ports.sandboxes import (
    Command,
    ConfinedProcess,
    Ended,
    Launch,
    Launcher,
    Sandbox,
    Staged,
    TypeCheck,
)
from mcp_convex.domain.ports.snapshots import SnapshotStore
from mcp_convex.domain.ports.store import LeaseStore, PushStore, TargetStore

__all__ = [
    "Announcements",
    "AuditStore",
    "CliLogin",
    "Command",
    "ConfinedProcess",
    "ConnectionStore",
    "DeploymentApi",
    "DevServerStore",
    "EmbeddedDeployments",
    "Ended",
    "FileJournal",
    "Gate",
    "GateSession",
    "HeldSession",
    "JournalState",
    "Launch",
    "Launcher",
    "LeaseStore",
    "ManagementApi",
    "NewDeployment",
    "NoAnnouncements",
    "NoProgress",
    "OAuthApi",
    "OnOutput",
    "OnStage",
    "PagePerson",
    "PageStore",
    "Pages",
    "Passage",
    "PassageIndex",
    "Progress",
    "ProvisioningStore",
    "PushStore",
    "PushTerms",
    "Reach",
    "ReadFile",
    "Sandbox",
    "SnapshotStore",
    "SourceChecks",
    "Staged",
    "TargetStore",
    "TypeCheck",
    "Visit",
]
