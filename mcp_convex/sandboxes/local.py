"""A workspace that is a directory of this machine: the directory is the truth, and commands run in a copy of it."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from mcp_convex.domain import paths
from mcp_convex.domain.errors import DirectoryUnusable, InstallFailed, IsolationUnavailable, NotFound, PathRefused
from mcp_convex.domain.models import FileEntry, FilePath, IsolationMode
from mcp_convex.domain.ports import (
    Command,
    ConfinedProcess,
    Ended,
    Launch,
    Launcher,
    OnOutput,
    OnStage,
    Sandbox,
    Staged,
    TypeCheck,
)
from mcp_convex.sandboxes.armed import Armed
from mcp_convex.sandboxes.change_set import ChangeSets
from mcp_convex.sandboxes.failures import translated
from mcp_convex.sandboxes.install import Installer
from mcp_convex.sandboxes.node import find_node
from mcp_convex.sandboxes.output import KeptOutput
from mcp_convex.sandboxes.packages import Packages
from mcp_convex.sandboxes.project import Template
from mcp_convex.sandboxes.sources import Identity, Sources, compiler_name, find_sources, functions_folder, real_path
from mcp_convex.sandboxes.stage import TEMPORARY, Stage
from mcp_convex.sandboxes.type_check import CompilerBeside, compilation
from mcp_convex.sandboxes.watching import changes_below

_PRELOAD = Path(__file__).with_name("preload.cjs")
_FORWARDER = Path(__file__).with_name("forward.cjs")
_FORWARDER_PORT = 3210
"""Inside a network of the command's own, where every port is free."""
_NICENESS_BESIDE = 10
"""What runs beside a command has until that comes to its end."""


class LocalSandbox(Sandbox):
    def __init__(  # noqa: PLR0913 - two of them by name only
        self,
        root: Path,
        state_dir: Path,
        launcher: Launcher,
        template: Path,
        *,
        gate_socket: Callable[[], Path] | None = None,
        npm_env: Mapping[str, str] | None = None,
    ) -> None:
        """
        Serve the directory *root*.

        Args:
            state_dir: This workspace's own; nothing else writes there.
            template: The project that an empty workspace begins as.
            gate_socket: Where the gate listens beside its port; `strict` needs it.
            npm_env: What npm needs of the person's environment, from `npm_environment`.
        """
        self._root = Path(os.path.realpath(root))
        self._state_dir = Path(os.path.realpath(state_dir))
        self._home = self._state_dir / "home"
        self._launcher = launcher
        self._template = Template(template)
        self._gate_socket = gate_socket
        self._changes = ChangeSets(self._root, self._state_dir)
        self._packages = Packages(self._root)
        self._installer = Installer(self._root, self._state_dir, launcher, npm_env or {})
        self._digests: dict[str, tuple[Identity, str]] = {}
        self._opened = False
        self._stage: Stage | None = None
        self._stage_of_compiler: Stage | None = None
        self._process: ConfinedProcess | None = None
        self._armed = Armed(launcher)
        self._one_at_a_time = anyio.Lock()

    async def ensure(self, progress: OnStage) -> None:
        async with self._one_at_a_time:
            if await anyio.to_thread.run_sync(self._make_project):
                await progress("installing")
                await self._installer.install()
            self._packages.check_convex()

    async def init(self) -> tuple[FilePath, ...]:
        """Write the example functions, beside what is there already, and return those that were written."""
        return await anyio.to_thread.run_sync(self._init)

    async def write(self, changes: Mapping[FilePath, bytes | None]) -> None:
        await anyio.to_thread.run_sync(self._write, changes)

    async def read(self, path: FilePath) -> bytes:
        return await anyio.to_thread.run_sync(self._read, path)

    async def list(self) -> tuple[FileEntry, ...]:
        return await anyio.to_thread.run_sync(self._entries)

    def watched(self) -> AsyncGenerator[None]:
        return changes_below(self._root)

    def convex_cli(self) -> tuple[str, ...]:
        if (found := self._packages.find("convex")) is None:
            raise InstallFailed("The package `convex` is not installed.", next_step="Call again; it will be installed.")
        bundle = found.with_name("dist") / "cli.bundle.cjs"
        script = bundle if bundle.exists() else found.with_name("bin") / "main.js"
        return (str(find_node().program), "--require", str(_PRELOAD), str(script))

    def checks_types(self) -> bool:
        return self._compiler(self._root) is not None

    def gate_url(self, url: str) -> str:
        if self._launcher.mode != "strict":
            return url
        return urlsplit(url)._replace(netloc=f"127.0.0.1:{_FORWARDER_PORT}").geturl()

    def seen_at(self) -> PurePosixPath:
        return PurePosixPath(self._root if self._launcher.has_own_tree else self._open_stage().folder)

    def linked_at(self) -> tuple[PurePosixPath, ...]:
        return tuple(map(PurePosixPath, self._packages.linked()))

    async def exec(
        self, command: Command, *, on_output: OnOutput, until: Callable[[], Awaitable[None]] | None = None
    ) -> Ended:
        async with self._one_at_a_time:
            stage, launch = await anyio.to_thread.run_sync(self._prepare, command)
            self._process, output = await self._armed.started(launch, self._packages.premises(), on_output)
            if command.on_staged is not None:
                command.on_staged(_staged(stage))
            exit_code, timed_out = await _run(self._process, command.deadline_s, until)
            await anyio.to_thread.run_sync(self._bring_back, stage, command)
        return Ended(exit_code, output.tail().replace(str(stage.folder), str(self._root)), timed_out)

    async def arm(self, command: Command) -> bool:
        async with self._one_at_a_time:
            _, launch = await anyio.to_thread.run_sync(self._prepare, command)
            return await self._armed.arm(launch, self._packages.premises())

    def type_check(self) -> TypeCheck:
        return CompilerBeside(self._open_stage, self._sync_for_compiler, self._compile_in)

    def describe(self) -> IsolationMode:
        return self._launcher.mode

    def take_notes(self) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        if self._process is not None:
            await self._process.kill()
        async with self._one_at_a_time:
            await self._armed.disarm()
            for stage in (self._stage, self._stage_of_compiler):
                if stage is not None:
                    stage.close()
            self._stage = self._stage_of_compiler = None

    def _open(self) -> None:
        """Check once that both directories can be used, and finish or undo what a killed server has left."""
        if self._opened:
            return
        if not self._root.is_dir() or not os.access(self._root, os.R_OK | os.W_OK | os.X_OK):
            raise DirectoryUnusable(
                f"`{self._root}` is no directory that this server can read and write.",
                next_step="Start the server for another directory, with MCP_CONVEX_WORKSPACE.",
            )
        with translated(self._state_dir):
            self._home.mkdir(parents=True, exist_ok=True)
        self._changes.recover()
        self._opened = True

    def _open_stage(self) -> Stage:
        if self._stage is None:
            self._stage = self._new_stage()
        return self._stage

    def _new_stage(self) -> Stage:
        self._open()
        with translated(self._state_dir):
            return Stage(self._root, self._state_dir)

    def _make_project(self) -> bool:
        """Write the files that the project lacks, and say whether packages have to be installed."""
        self._open()
        find_node()
        with translated(self._root):
            missing = self._template.missing(self._content)
            self._installer.check()
            if missing:
                self._changes.apply({self._root / path: data for path, data in missing.items()})
            return self._installer.is_due()

    def _init(self) -> tuple[FilePath, ...]:
        self._make_project()
        examples = self._template.examples(self._content)
        self._write(examples)
        return tuple(examples)

    def _content(self, path: str) -> bytes | None:
        return (self._root / path).read_bytes() if (self._root / path).exists() else None

    def _write(self, changes: Mapping[FilePath, bytes | None]) -> None:
        self._open()
        targets = {real_path(self._root, path): data for path, data in changes.items()}
        for target in targets:
            if target.is_dir():
                raise PathRefused(f"`{target.name}` is a folder.", next_step="Choose another name for the file.")
        if targets:
            self._changes.apply(targets)

    def _read(self, path: FilePath) -> bytes:
        self._open()
        try:
            with translated(self._root):
                return real_path(self._root, path).read_bytes()
        except DirectoryUnusable as exc:
            if isinstance(exc.__cause__, (FileNotFoundError, IsADirectoryError, NotADirectoryError)):
                raise NotFound(f"There is no file `{path}`.", next_step="Call `list_files` to see the files.") from None
            raise

    def _entries(self) -> tuple[FileEntry, ...]:
        self._open()
        with translated(self._root):
            files = find_sources(self._root).files
        self._digests = {path: digest for path in files if (digest := self._digest(path, files[path])) is not None}
        return tuple(
            FileEntry(path=FilePath(path), size=identity.size, sha256=digest)
            for path, (identity, digest) in sorted(self._digests.items())
        )

    def _digest(self, path: str, identity: Identity) -> tuple[Identity, str] | None:
        known = self._digests.get(path)
        if known is not None and known[0] == identity:
            return known
        if not paths.is_approved(path):
            return None
        try:
            return identity, sha256((self._root / path).read_bytes()).hexdigest()
        except OSError:
            return None

    def _prepare(self, command: Command) -> tuple[Stage, Launch]:
        stage = self._open_stage()
        sources = self._synced(stage)
        return stage, self._with_gate(self._launch(command, stage.folder, sources))

    def _synced(self, stage: Stage) -> Sources:
        """Make *stage* hold what the workspace holds now, and return that."""
        above = self._packages.folders_above()
        with translated(self._state_dir):
            return stage.sync(package_links=not self._launcher.has_own_tree, packages_above=above[0] if above else None)

    async def _sync_for_compiler(self) -> Stage:
        return await anyio.to_thread.run_sync(self._sync_second)

    def _sync_second(self) -> Stage:
        if self._stage_of_compiler is None:
            self._stage_of_compiler = self._new_stage()
        self._synced(self._stage_of_compiler)
        return self._stage_of_compiler

    async def _compile_in(self, stage: Stage, *, beside: bool) -> Ended | None:
        launch = await anyio.to_thread.run_sync(lambda: self._compiler_in(stage, beside=beside))
        if launch is None:
            return None
        output = KeptOutput(lambda _: None)
        exit_code, _ = await _run(await self._launcher.start(launch, output), math.inf, None)
        return Ended(exit_code, output.tail().replace(str(stage.folder), str(self._root)))

    def _compiler_in(self, stage: Stage, *, beside: bool) -> Launch | None:
        if (compiler := self._compiler(stage.folder)) is None:
            return None
        with translated(self._root):
            command = compilation(find_node().program, compiler, functions_folder(stage.folder), beside=beside)
            launch = self._launch(command, stage.folder, find_sources(stage.folder))
            return replace(launch, niceness=_NICENESS_BESIDE if beside else 0)

    def _compiler(self, root: Path) -> Path | None:
        """Return the compiler with which the CLI checks the sources below *root*, if it does."""
        has_settings = (root / functions_folder(root) / "tsconfig.json").is_file()
        return self._packages.compiler(compiler_name(root)) if has_settings else None

    def _launch(self, command: Command, stage: Path, sources: Sources) -> Launch:
        """Return what starts *command* in *stage*, without a network."""
        cwd = self._root if self._launcher.has_own_tree else stage
        folders = [*(self._root / path for path in sources.package_folders), *self._packages.folders_above()]
        readable = [_PRELOAD, *folders, *self._packages.linked(), *self._packages.settings_above()]
        node = find_node().program
        env = {
            "PATH": f"{node.parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self._home),
            "TMPDIR": str(cwd / TEMPORARY),
            "LANG": "C.UTF-8",
        }
        return Launch(
            command.argv,
            cwd=cwd,
            env=env | dict(command.env),
            readable=readable,
            listable=[stage.parent, *self._packages.around()],
            writable=[self._home],
            mounts={stage: self._root},
            network=False,
        )

    def _with_gate(self, launch: Launch) -> Launch:
        """Let *launch* reach the gate, through a socket where it has no network otherwise."""
        if self._launcher.mode != "strict":
            return replace(launch, network=True)
        socket = self._socket()
        argv = ['"$0" "$1" "$2" "$3" & shift 3; exec "$@"', *_forwarder(find_node().program, socket), *launch.argv]
        return replace(launch, argv=["/bin/sh", "-c", *argv], readable=[*launch.readable, _FORWARDER, socket])

    def _socket(self) -> Path:
        if self._gate_socket is None:
            raise IsolationUnavailable(
                "The isolation `strict` needs the gate to listen on a socket of this machine, and it does not.",
                next_step="Have the operator set MCP_CONVEX_ISOLATION=auto.",
            )
        return self._gate_socket()

    def _bring_back(self, stage: Stage, command: Command) -> None:
        with translated(self._root):
            self._write(stage.changed(command.keep))


def _staged(stage: Stage) -> Staged:
    async def read(path: FilePath) -> bytes:
        return await anyio.to_thread.run_sync(stage.read, path)

    return Staged(
        tuple(
            FileEntry(path=FilePath(path), size=copied.source.size, sha256=copied.sha256)
            for path, copied in sorted(stage.copied.items())
            if paths.is_approved(path)
        ),
        read,
    )


async def _run(
    process: ConfinedProcess, deadline_s: float, until: Callable[[], Awaitable[None]] | None
) -> tuple[int | None, bool]:
    """Return the exit code, if the process came to its own end, and whether its time was up; it is gone then."""
    exit_code = None
    try:
        with anyio.move_on_after(deadline_s) as deadline:
            async with anyio.create_task_group() as race:

                async def end_early() -> None:
                    if until is not None:
                        await until()
                        race.cancel_scope.cancel()

                race.start_soon(end_early)
                exit_code = await process.wait()
                race.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await process.kill()
    return exit_code, deadline.cancelled_caught


def _forwarder(node: Path, socket: Path) -> tuple[str, ...]:
    return (str(node), str(_FORWARDER), str(socket), str(_FORWARDER_PORT))
