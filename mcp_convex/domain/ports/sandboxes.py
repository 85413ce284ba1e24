"""Processes, and the sandboxes in which a workspace's commands run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mcp_convex.domain.models import FileEntry, FilePath, IsolationMode
from mcp_convex.domain.ports.progress import OnOutput, OnStage


@dataclass(frozen=True, slots=True)
class Launch:
    """A program to start, and all that it may see and touch."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    """Complete: nothing is inherited from this server."""
    readable: Sequence[Path] = ()
    """Beside the system's own programs and libraries, and Node."""
    listable: Sequence[Path] = ()
    """Directories in which names may be looked up, at any depth; modes with a `has_own_tree` show no others anyway."""
    writable: Sequence[Path] = ()
    mounts: Mapping[Path, Path] = field(default_factory=dict[Path, Path])
    """Writable directories, each with the path where it appears; only in modes with a `has_own_tree`."""
    network: bool = True
    """False takes away every network that the mode can take away: `bwrap` all of them, `landlock` TCP, `none` none."""
    pass_fds: Sequence[int] = ()


class ConfinedProcess(ABC):
    """A started program and all its children."""

    pid: int

    @property
    @abstractmethod
    def has_ended(self) -> bool:
        """Say whether the program has ended."""

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
    gate: str | None = None
    """What the command may reach of this machine, such as `http://127.0.0.1:40123`; it finds it at `gate_url`."""
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
    def checks_types(self) -> bool:
        """Say whether the CLI finds a compiler here, and a tsconfig.json for the functions."""

    @abstractmethod
    def seen_at(self) -> PurePosixPath:
        """Return the workspace's folder as a command in the sandbox sees it."""

    def linked_at(self) -> tuple[PurePosixPath, ...]:
        """Return the folders of the packages that the workspace links to, as in a monorepo, as a command sees them."""
        return ()

    @abstractmethod
    def gate_url(self, url: str) -> str:
        """Return the address under which a command in the sandbox finds what listens at *url* on this machine."""

    @abstractmethod
    async def exec(
        self, command: Command, *, on_output: OnOutput, until: Callable[[], Awaitable[None]] | None = None
    ) -> Ended:
        """
        Run *command* to its end, its deadline, or until *until* returns; then no process of it is left.

        Raises:
            SandboxLost: The sandbox vanished meanwhile; `ensure` starts another.
        """

    async def arm(self, command: Command) -> bool:  # noqa: ARG002 - for those that can
        """
        Start *command* ahead, so that `exec` of it finds it loaded, and say whether it waits; one at a time.

        Its sources are those of the moment of `exec`. Where packages or settings have changed by then, or it has
        ended, `exec` starts it anew.
        """
        return False

    @abstractmethod
    def describe(self) -> IsolationMode:
        """Return how commands are confined."""

    @abstractmethod
    def take_notes(self) -> tuple[str, ...]:
        """Return what befell the sandbox since this was last asked, for whoever reads the answer of a call."""

    @abstractmethod
    async def close(self) -> None:
        """End what runs, and give back what was borrowed."""
