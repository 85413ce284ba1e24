"""A workspace that is a sandbox at E2B: the store holds its files, and the sandbox mirrors them while it lives."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import anyio

from mcp_convex.domain import paths
from mcp_convex.domain.errors import InstallFailed, NotFound, PathRefused, SandboxBusy, SandboxLost
from mcp_convex.domain.models import FileEntry, FilePath, IsolationMode, PrincipalId, WorkspaceId
from mcp_convex.domain.ports import Command, Ended, FileJournal, OnOutput, OnStage, Sandbox
from mcp_convex.sandboxes import convex_json
from mcp_convex.sandboxes.e2b.account import Account
from mcp_convex.sandboxes.e2b.answers import CommandEnded, Installed, Packages, Prepared
from mcp_convex.sandboxes.e2b.box import Box, Job, Message
from mcp_convex.sandboxes.e2b.forwarding import Forwarder
from mcp_convex.sandboxes.e2b.mirror import Mirror
from mcp_convex.sandboxes.install import DEADLINE_S, QUIETLY, failed
from mcp_convex.sandboxes.output import KeptOutput
from mcp_convex.sandboxes.packages import COMPILERS, check_version
from mcp_convex.sandboxes.project import Content, Template
from mcp_convex.sandboxes.sources import named_functions_folder

_STAGE = PurePosixPath("/home/user/.mcp-convex/stage")
_GATE_PORT = 28793
"""In the box, where a port that others are likely to use would be in their way."""
_SECONDS_TO_LET_GO = 0.25
_GRACE_S = 10.0
"""How long a box has for ending a command, beyond the command's own deadline."""
_STARTED_ANEW = "The sandbox had vanished: another was started, and got every file from this server's copy."
_FOUND_AGAIN = "The sandbox could not be reached for a while; the work went on in it."
_READ_BACK = "{count} files that something else had written in the sandbox were taken over."


class E2BSandbox(Sandbox):
    def __init__(
        self, account: Account, journal: FileJournal, template: Path, *, owner: tuple[PrincipalId, WorkspaceId]
    ) -> None:
        """
        Serve the workspace *owner*, without asking E2B for anything yet.

        Args:
            template: The project that an empty workspace begins as.
        """
        self._account = account
        self._mirror = Mirror(journal, owner)
        self._template = Template(template)
        self._box: Box | None = None
        self._sought = False
        self._is_lost = False
        self._packages = Packages()
        self._types_in: FilePath | None = None
        self._notes: list[str] = []
        self._attaching = anyio.Lock()
        self._one_at_a_time = anyio.Lock()

    async def ensure(self, progress: OnStage) -> None:
        async with self._one_at_a_time:
            box = await self._started()
            try:
                await self._make_ready(box, progress)
            except SandboxLost:
                self._lose(box)
                raise

    async def init(self) -> tuple[FilePath, ...]:
        await self._look()
        await self._make_project()
        examples = self._template.examples(await self._content())
        await self.write(examples)
        return tuple(examples)

    async def write(self, changes: Mapping[FilePath, bytes | None]) -> None:
        files = (await self._mirror.state()).files
        for path in changes:
            if any(other.startswith(f"{path}/") for other in files):
                raise PathRefused(f"`{path}` is a folder.", next_step="Choose another name for the file.")
        box = await self._at_hand()
        try:
            await self._mirror.write(box, changes)
        except SandboxLost:  # what is kept reaches the next box
            self._lose(box)

    async def read(self, path: FilePath) -> bytes:
        await self._look(path)
        if (data := (await self._mirror.contents([path])).get(path)) is None:
            raise NotFound(f"There is no file `{path}`.", next_step="Call `list_files` to see the files.")
        return data

    async def list(self) -> tuple[FileEntry, ...]:
        await self._look()
        files = (await self._mirror.state()).files
        return tuple(files[path] for path in sorted(files) if _is_visible(path))

    def convex_cli(self) -> tuple[str, ...]:
        if (script := self._packages.cli) is None:
            raise InstallFailed("The package `convex` is not installed.", next_step="Call again; it will be installed.")
        return ("node", f"node_modules/{script}")

    def checks_types(self) -> bool:
        return self._types_in is not None and self._packages.compiler

    def seen_at(self) -> PurePosixPath:
        return _STAGE

    def gate_url(self, url: str) -> str:
        return urlsplit(url)._replace(netloc=f"127.0.0.1:{_GATE_PORT}").geturl()

    async def exec(
        self, command: Command, *, on_output: OnOutput, until: Callable[[], Awaitable[None]] | None = None
    ) -> Ended:
        async with self._one_at_a_time:
            box = await self._started()
            output = KeptOutput(on_output)
            try:
                await box.extend(command.deadline_s + _GRACE_S)
                ended, stopped, timed_out = await self._run(box, command, output, until)
                await self._mirror.keep(ended)
            except SandboxLost:
                self._lose(box)
                raise
        return Ended(None if stopped else ended.code, output.tail(), timed_out)

    def describe(self) -> IsolationMode:
        return "vm"

    def take_notes(self) -> tuple[str, ...]:
        taken, self._notes = tuple(self._notes), []
        return taken

    async def close(self) -> None:
        """Let go of the box. It lives out its time: others may be at work in it, and the next server adopts it."""
        if self._box is not None:
            # The SDK 2.63 aborts the process in one of 20 cases where a stream was let go of right before its end.
            await anyio.sleep(_SECONDS_TO_LET_GO)
        self._box = None

    # --- the box -----------------------------------------------------------------------------------------------------

    async def _found(self) -> Box | None:
        """Return the workspace's box if there is one."""
        async with self._attaching:
            if self._box is None and not self._sought:
                self._box = await self._account.find(await self._mirror.tag())
                self._sought = True
                if self._box is not None and self._is_lost:
                    self._notes.append(_FOUND_AGAIN)
                self._is_lost = self._is_lost and self._box is None
            if self._box is not None:
                await self._box.extend()
            return self._box

    async def _started(self) -> Box:
        """Return the workspace's box, made if there is none."""
        self._sought = self._box is not None  # another server may have made one since
        if (found := await self._found()) is not None:
            return found
        async with self._attaching:
            self._box = box = await self._account.create(await self._mirror.tag())
        try:
            await self._mirror.fill(box)
        except SandboxLost:
            self._lose(box)
            raise
        if self._is_lost:
            self._notes.append(_STARTED_ANEW)
        self._is_lost = False
        return box

    async def _at_hand(self) -> Box | None:
        """Return the workspace's box if it can be had now; the host's copy serves without it."""
        try:
            return await self._found()
        except (SandboxLost, SandboxBusy):
            self._lose(self._box)
            return None

    def _lose(self, box: Box | None) -> None:
        """Forget *box*; whether there is still one is asked anew."""
        if self._box is box:
            self._box, self._sought, self._is_lost = None, False, True

    async def _look(self, *also: FilePath) -> None:
        """Read back what something else wrote in the box, if there is one; the host's copy serves without it."""
        box = await self._at_hand()
        try:
            if box is not None:
                await self._mirror.look(box, also=also)
        except SandboxLost:
            self._lose(box)

    # --- the project -------------------------------------------------------------------------------------------------

    async def _make_ready(self, box: Box, progress: OnStage) -> None:
        self._packages = await self._prepare(box)
        if await self._make_project():
            self._packages = await self._prepare(box)
        if self._packages.due:
            await progress("installing")
            await self._install(box)
            self._packages = await self._prepare(box)
        if (version := self._packages.convex) is None:
            raise InstallFailed(
                "The package `convex` is not installed.", next_step="Write it into package.json, then call again."
            )
        check_version(version)
        content = await self._content()
        place = FilePath(f"{named_functions_folder(content('convex.json'))}/tsconfig.json")
        self._types_in = place if content(place) is not None else None

    async def _make_project(self) -> bool:
        """Write the files that the project lacks, and say whether there were any."""
        missing = self._template.missing(await self._content())
        if missing:
            await self.write(missing)
        return bool(missing)

    async def _prepare(self, box: Box) -> Packages:
        answer, in_step = await self._mirror.look_by("prepare", box, Prepared, compilers=COMPILERS)
        if in_step.read_back:
            self._notes.append(_READ_BACK.format(count=in_step.read_back))
        return await self._prepare(box) if in_step.replayed else answer.packages

    async def _install(self, box: Box) -> None:
        lock = "package-lock.json" in (await self._mirror.state()).files
        request = {"arguments": ["ci" if lock else "install", *QUIETLY]}
        answer = await box.do("install", request, Installed, within_s=DEADLINE_S)
        if answer.code != 0 and lock:
            answer = await box.do("install", {"arguments": ["install", *QUIETLY]}, Installed, within_s=DEADLINE_S)
        if answer.code != 0:
            raise failed(answer.output, timed_out=False)

    async def _content(self) -> Content:
        """Return a reader of the few files that decide what a project lacks."""
        state = await self._mirror.state()
        small = [path for path in state.files if path.endswith(".json") or path == ".gitignore"]
        contents = await self._mirror.contents(small)

        def read(path: str) -> bytes | None:
            return contents.get(FilePath(path), b"" if path in state.files else None)

        return read

    # --- a command ---------------------------------------------------------------------------------------------------

    async def _run(
        self, box: Box, command: Command, output: KeptOutput, until: Callable[[], Awaitable[None]] | None
    ) -> tuple[CommandEnded, bool, bool]:
        """Return how the command ended, whether it was stopped, and whether because its time was up."""
        forwarder = Forwarder(command.gate) if command.gate else None

        async def hear(job: Job, message: Message) -> None:
            if "out" in message:
                output(message["out"])
            elif forwarder is not None:
                await forwarder.hear(job, message)

        job = await box.start("run", await self._request(command), hear)
        try:
            stopped, timed_out = await _race(job, command.deadline_s, until)
            if stopped:
                await job.send({"stop": True})
            with anyio.fail_after(min(_GRACE_S, box.patience_s)):
                ended = await job.answer(CommandEnded)
        except TimeoutError:
            raise SandboxLost(
                "The sandbox did not end a command when it was told to.", next_step="Make the same call again."
            ) from None
        finally:
            await job.end()
            if forwarder is not None:
                await forwarder.aclose()
        return ended, stopped, timed_out

    async def _request(self, command: Command) -> dict[str, Any]:
        settings = FilePath("convex.json")
        replaced = (await self._mirror.contents([settings])).get(settings)
        return {
            "id": secrets.token_hex(8),
            "argv": list(command.argv),
            "env": dict(command.env),
            "keep": list(command.keep),
            "deadline": command.deadline_s + _GRACE_S,
            "port": _GATE_PORT if command.gate else None,
            "rules": await self._mirror.rules(),
            "replaced": {} if replaced is None else {settings: convex_json.staged(replaced.decode(errors="replace"))},
        }


async def _race(job: Job, deadline_s: float, until: Callable[[], Awaitable[None]] | None) -> tuple[bool, bool]:
    """Wait for the command's own end, its deadline or *until*; say whether it is to be stopped, and why."""
    stopped = False
    with anyio.move_on_after(deadline_s) as deadline:
        async with anyio.create_task_group() as race:

            async def end_early() -> None:
                nonlocal stopped
                if until is not None:
                    await until()
                    stopped = True
                    race.cancel_scope.cancel()

            race.start_soon(end_early)
            await job.ended()
            race.cancel_scope.cancel()
    return stopped or deadline.cancelled_caught, deadline.cancelled_caught


def _is_visible(path: FilePath) -> bool:
    try:
        return paths.approve(path) == path
    except PathRefused:
        return False
