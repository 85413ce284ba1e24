"""What the services need from the outside. Adapters implement these; tests fake them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath

from pydantic import SecretStr

from mcp_convex.domain.audit import AuditEvent
from mcp_convex.domain.connections import (
    Connection,
    ConnectionId,
    Deployment,
    OAuthFlow,
    PendingPage,
    Project,
    ProjectId,
    ProvisioningRun,
    Scope,
    Team,
    TeamId,
)
from mcp_convex.domain.models import (
    Arguments,
    ConvexFunction,
    DeploymentInfo,
    DeploymentType,
    FileEntry,
    FilePath,
    FunctionResult,
    IsolationMode,
    LogPage,
    Page,
    PrincipalId,
    Table,
    Target,
    WorkspaceId,
)
from mcp_convex.domain.pushes import GateVerdict, Purpose, PushRecord, Stage
from mcp_convex.domain.secrets import AccessTokenValue, AdminKeyValue, PlaceholderValue, VerifierValue

OnOutput = Callable[[str], None]
"""Called with each piece of a process's output, decoded, as it arrives."""

OnStage = Callable[[Stage], Awaitable[None]]


class Progress(ABC):
    """Where a long-running service says how far it has come."""

    @abstractmethod
    async def report(self, done: float, total: float, doing: str) -> None:
        """Say that *done* of *total* steps are over, and what happens now."""


class NoProgress(Progress):
    """For callers that do not care."""

    async def report(self, done: float, total: float, doing: str) -> None:
        pass


# --- deployments -------------------------------------------------------------------------------------------------


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
            FunctionThrew: It threw, or it is no query.
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


# --- the gate ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PushTerms:
    """What one run of the CLI may do, fixed before it starts."""

    purpose: Purpose
    reach: Reach | None
    """None for a check, which asks no deployment."""
    deadline_s: float
    consented: bool = False
    """Nobody needs to be asked: a person pushes themselves, or the deployment is for trying."""
    agreed: frozenset[str] = frozenset()
    """The messages of an earlier `needs_consent` that the person has said yes to; anything else is asked anew."""
    live_functions: tuple[ConvexFunction, ...] | None = None
    """What is live now, so that the gate can say what a push adds and removes; None where nobody asked."""
    root: PurePosixPath | None = None
    """The project's folder as the CLI sees it, for imports that are named by an absolute path."""


class GateSession(ABC):
    """One opening of the gate: one placeholder, one deployment, one run of the CLI."""

    url: str
    """Where the gate listens on this machine, such as `http://127.0.0.1:40123`."""
    placeholder: PlaceholderValue

    @abstractmethod
    async def settled(self) -> None:
        """Return when the gate has decided and the CLI has nothing more to add; it may then be ended."""

    @abstractmethod
    def verdict(self) -> GateVerdict:
        """Return what the gate has seen so far."""


class Gate(ABC):
    """The broker between the CLI and Convex: the only way to a deployment for what runs in a sandbox."""

    @abstractmethod
    def open(self, terms: PushTerms, on_stage: OnStage) -> AbstractAsyncContextManager[GateSession]:
        """Admit one run of the CLI under *terms*; on leaving, its placeholder opens nothing any more."""


# --- processes and sandboxes -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Launch:
    """A program to start, and all that it may see and touch."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    """Complete: nothing is inherited from this server."""
    readable: Sequence[Path] = ()
    """Beside the system's own programs and libraries, and Node."""
    writable: Sequence[Path] = ()
    mounts: Mapping[Path, Path] = field(default_factory=dict[Path, Path])
    """Writable directories, each with the path where it appears; only in modes with a `has_own_tree`."""
    network: bool = True
    """False takes away every network that the mode can take away: `bwrap` all of them, `landlock` TCP, `none` none."""
    pass_fds: Sequence[int] = ()


class ConfinedProcess(ABC):
    """A started program and all its children."""

    pid: int

    @abstractmethod
    async def wait(self) -> int:
        """Return the exit code once the program has ended and its output has been read."""

    @abstractmethod
    async def kill(self) -> None:
        """End the program and every process that it started, and return when they are gone."""


class Launcher(ABC):
    """Starts programs confined as far as this machine allows."""

    @property
    @abstractmethod
    def mode(self) -> IsolationMode:
        """The isolation in force, probed once."""

    @property
    def has_own_tree(self) -> bool:
        """Say whether a program sees a file tree of its own, in which `Launch.mounts` have their places."""
        return self.mode in {"bwrap", "strict"}

    @abstractmethod
    async def start(self, launch: Launch, on_output: OnOutput) -> ConfinedProcess:
        """
        Start a program; its standard output and error both go to *on_output*.

        Raises:
            ToolMissing: There is no such program.
            IsolationUnavailable: The isolation that the operator asked for does not work here.
        """


@dataclass(frozen=True, slots=True)
class Command:
    """A command line to run in a sandbox, from the workspace's root."""

    argv: Sequence[str]
    deadline_s: float
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    keep: Sequence[FilePath] = ()
    """Folders whose files, where the command changed them, are the workspace's from now on."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    exit_code: int | None
    """None when it was ended by its deadline or by `until`."""
    output: str
    """Standard output and error as they came, ANSI escapes removed, the last 256 KiB."""
    timed_out: bool = False


class Sandbox(ABC):
    """
    Where a workspace's files live and its CLI runs.

    Paths are `FilePath`s that `domain.paths` has approved; adapters still refuse to
    follow links out of the workspace.
    """

    @abstractmethod
    async def ensure(self, progress: OnStage) -> None:
        """
        Make the sandbox ready to run the CLI: project files where there are none, packages installed.

        Raises:
            ToolMissing: Node or npm is absent or too old.
            InstallFailed: npm could not install the packages.
        """

    @abstractmethod
    async def init(self) -> tuple[FilePath, ...]:
        """Write the example functions, never over a file that is there, and return what was written."""

    @abstractmethod
    async def write(self, changes: Mapping[FilePath, bytes | None]) -> None:
        """Write each file, or delete it where the content is None; all of them or none."""

    @abstractmethod
    async def read(self, path: FilePath) -> bytes:
        """
        Return a file's content.

        Raises:
            NotFound: There is no such file.
        """

    @abstractmethod
    async def list(self) -> tuple[FileEntry, ...]:
        """Return the workspace's files that tools may see, sorted by path."""

    @abstractmethod
    def convex_cli(self) -> tuple[str, ...]:
        """
        Return the start of a command line that runs the workspace's own Convex CLI.

        Raises:
            InstallFailed: Its packages are not installed.
        """

    @abstractmethod
    def seen_at(self) -> PurePosixPath:
        """Return the workspace's folder as a command in the sandbox sees it."""

    @abstractmethod
    def gate_url(self, url: str) -> str:
        """Return the address under which a command in the sandbox finds what listens at *url* on this machine."""

    @abstractmethod
    async def exec(
        self, command: Command, *, on_output: OnOutput, until: Callable[[], Awaitable[None]] | None = None
    ) -> Ended:
        """Run *command* to its end, its deadline, or until *until* returns; then no process of it is left."""

    @abstractmethod
    def describe(self) -> IsolationMode:
        """Return how commands are confined."""

    @abstractmethod
    async def close(self) -> None:
        """End what runs, and give back what was borrowed."""


# --- the store ---------------------------------------------------------------------------------------------------


class TargetStore(ABC):
    """The deployment that a workspace was linked to, and its admin key, encrypted."""

    @abstractmethod
    async def get(self, principal: PrincipalId, workspace: WorkspaceId) -> Reach | None:
        """Return the workspace's target, or None where it was never linked (the embedded one serves then)."""

    @abstractmethod
    async def put(
        self, principal: PrincipalId, workspace: WorkspaceId, reach: Reach, *, connection: ConnectionId | None = None
    ) -> None:
        """Link the workspace, replacing what was there; through *connection*, or by a key of the person's own."""

    @abstractmethod
    async def delete(self, principal: PrincipalId, workspace: WorkspaceId) -> bool:
        """Unlink the workspace and delete its key; say whether there was one."""


class LeaseStore(ABC):
    """At most one holder of a name at a time, across processes; a dead holder's lease expires."""

    @abstractmethod
    def hold(self, name: str, *, ttl_s: float) -> AbstractAsyncContextManager[None]:
        """
        Hold *name* until the block ends, renewing it while the block runs.

        Raises:
            PushUnderWay: Another holds it.
        """


class PushStore(ABC):
    """What came of each push."""

    @abstractmethod
    async def add(self, principal: PrincipalId, record: PushRecord) -> None:
        """Keep *record*; the oldest beyond a bound go."""

    @abstractmethod
    async def get(self, principal: PrincipalId, push_id: str) -> PushRecord:
        """
        Return one push.

        Raises:
            NotFound: This principal has no push with that id.
        """

    @abstractmethod
    def latest(self, principal: PrincipalId, workspace: WorkspaceId) -> AsyncIterator[PushRecord]:
        """Yield the workspace's pushes, newest first."""


# --- connecting and provisioning ---------------------------------------------------------------------------------


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
    async def details(self, token: AccessTokenValue) -> tuple[Team, Project | None]:
        """
        Return the team, and for a project grant the project, that *token* opens.

        The CLI's login opens several teams: the first of them.
        """

    @abstractmethod
    async def list_teams(self, token: AccessTokenValue) -> tuple[Team, ...]:
        """Return every team that the CLI's login opens. Other tokens open the one in `details`."""

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
        Return it. Only for who has the person's consent.

        Raises:
            NotConnected: There is none.
        """


class ConnectionStore(ABC):
    """Connections and their tokens, encrypted; each is read by (principal, id) only."""

    @abstractmethod
    async def put(self, principal: PrincipalId, connection: Connection) -> None:
        """Add *connection*, or replace the one with its id."""

    @abstractmethod
    async def list(self, principal: PrincipalId) -> tuple[Connection, ...]:
        """Return the principal's connections, newest first."""

    @abstractmethod
    async def put_token(self, principal: PrincipalId, connection: Connection, token: AccessTokenValue) -> None:
        """Add or replace *connection* together with its token, in one transaction."""

    @abstractmethod
    async def token(self, principal: PrincipalId, connection: ConnectionId) -> AccessTokenValue:
        """
        Return a connection's token.

        Raises:
            NotConnected: There is none.
        """

    @abstractmethod
    async def delete(self, principal: PrincipalId, connection: ConnectionId) -> tuple[WorkspaceId, ...]:
        """Delete the connection, its token, its flows and the targets that came through it; return their workspaces."""


class PageStore(ABC):
    """Pages that wait, and OAuth flows under way. A handle is single use: whoever takes it first has it."""

    @abstractmethod
    async def add(self, principal: PrincipalId, page: PendingPage) -> None:
        """Keep *page*; expired ones go."""

    @abstractmethod
    async def find(self, handle: str) -> tuple[PrincipalId, PendingPage]:
        """
        Return the page and whose it is, without using it up.

        Raises:
            NotFound: It does not exist, is used, or has expired.
        """

    @abstractmethod
    async def take(self, handle: str) -> tuple[PrincipalId, PendingPage]:
        """
        Use the page up and return it.

        Raises:
            NotFound: It does not exist, is used, or has expired.
        """

    @abstractmethod
    async def add_flow(self, principal: PrincipalId, flow: OAuthFlow, verifier: VerifierValue) -> None:
        """Keep *flow*; expired ones go."""

    @abstractmethod
    async def take_flow(self, state: str) -> tuple[PrincipalId, OAuthFlow, VerifierValue]:
        """
        Use the flow up and return it.

        Raises:
            NotFound: It does not exist, is used, or has expired.
        """


class ProvisioningStore(ABC):
    """Runs of the provisioning, one open at most for a workspace and a project name."""

    @abstractmethod
    async def put(self, principal: PrincipalId, run: ProvisioningRun) -> None:
        """Record *run* as it is now."""

    @abstractmethod
    async def open_run(self, principal: PrincipalId, workspace: WorkspaceId, name: str) -> ProvisioningRun | None:
        """Return the run for *name* that has not reached its end, if there is one."""


class AuditStore(ABC):
    """What was done, by whom and when. No event holds a value."""

    @abstractmethod
    async def add(self, principal: PrincipalId, event: AuditEvent) -> None:
        """Keep *event*; those beyond a certain age go."""

    @abstractmethod
    async def latest(self, principal: PrincipalId, *, limit: int) -> tuple[AuditEvent, ...]:
        """Return the principal's events, newest first, *limit* at most."""
