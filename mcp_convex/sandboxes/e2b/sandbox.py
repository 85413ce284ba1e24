"""A workspace that is a sandbox at E2B: the store holds its files, and a box mirrors them while it lives."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import anyio

from mcp_convex.domain.errors import InstallFailed, PathRefused, SandboxBusy, SandboxLost
from mcp_convex.domain.models import FileEntry, FilePath, IsolationMode, PrincipalId, WorkspaceId
from mcp_convex.domain.ports import Command, Ended, FileJournal, OnOutput, OnStage, Sandbox
from mcp_convex.sandboxes.e2b.account import Account
from mcp_convex.sandboxes.e2b.answers import Installed, Packages, Prepared
from mcp_convex.sandboxes.e2b.armed import Armed
from mcp_convex.sandboxes.e2b.attachment import Attachment
from mcp_convex.sandboxes.e2b.box import PRELOAD, Box
from mcp_convex.sandboxes.e2b.command import GATE, BoxedCommand, Run, Until
from mcp_convex.sandboxes.e2b.failures import lost
from mcp_convex.sandboxes.e2b.mirror import Mirror, is_hidden
from mcp_convex.sandboxes.e2b.watching import changes_in
from mcp_convex.sandboxes.install import DEADLINE_S, IMPATIENTLY, QUIETLY, failed, lacks_network
from mcp_convex.sandboxes.packages import COMPILERS, check_version
from mcp_convex.sandboxes.project import Content, Template
from mcp_convex.sandboxes.sources import named_functions_folder

_OWN = PurePosixPath("/home/user/.mcp-convex")
_SECONDS_TO_LET_GO = 0.25
_FRESH_S = 1.0
"""
How long a read may rely on what `ensure`, a list or another read relied on, and one list on what `ensure` has seen.

A push lists and reads the files right after the one, an edit reads them right after the other.
"""
_POLLED_S = 3.0
"""Between two looks at the files of a sandbox that does not tell: little beside the second or two of a push."""
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
        self._mirror = Mirror(journal, owner)
        self._attachment = Attachment(account, self._mirror)
        self._stage = f"stage-{secrets.token_hex(4)}"
        """Where commands of this server see the sources: another server may arm one while ours runs."""
        self._armed = Armed(self._mirror, self._stage)
        self._template = Template(template)
        self._has_internet = account.has_internet
        self._packages = Packages()
        self._has_tsconfig = False
        self._looked_at = 0.0
        self._listed = True
        self._ready_in: str | None = None
        """The box that was made ready last."""
        self._one_at_a_time = anyio.Lock()

    async def ensure(self, progress: OnStage) -> None:
        async with self._one_at_a_time:
            box = await self._attachment.started()
            try:
                await self._make_ready(box, progress)
            except SandboxLost:
                self._attachment.lose(box)
                raise
            self._ready_in = box.id
            self._looked_at, self._listed = anyio.current_time(), False

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
        self._looked_at = 0.0
        box = await self._attachment.at_hand()
        try:
            await self._mirror.write(box, changes)
        except SandboxLost:  # what is kept reaches the next box
            self._attachment.lose(box)

    async def read(self, path: FilePath) -> bytes:
        if is_hidden(path) or not self._is_fresh():
            await self._look_at(path)
        else:
            self._looked_at = anyio.current_time()
        return await self._mirror.content(path)

    async def list(self) -> tuple[FileEntry, ...]:
        if self._listed or not self._is_fresh():
            await self._look()
            self._looked_at = anyio.current_time()
        self._listed = True
        return await self._mirror.visible()

    async def watched(self) -> AsyncGenerator[None]:
        """Yield as the port says: by the word of the box, and by a look now and then where it has none."""
        seen: tuple[FileEntry, ...] | None = None
        while True:
            async with aclosing(self._noticed()) as changes:
                async for _ in changes:
                    yield
            if (now := await self.list()) != seen:
                seen = now
                yield
            await anyio.sleep(_POLLED_S)

    def convex_cli(self) -> tuple[str, ...]:
        if (script := self._packages.cli) is None:
            raise InstallFailed("The package `convex` is not installed.", next_step="Call again; it will be installed.")
        return ("node", "--require", f"../{PurePosixPath(PRELOAD).name}", f"node_modules/{script}")

    def checks_types(self) -> bool:
        return self._has_tsconfig and self._packages.compiler

    def seen_at(self) -> PurePosixPath:
        return _OWN / self._stage

    def gate_url(self, url: str) -> str:
        return urlsplit(url)._replace(netloc=GATE).geturl()

    async def exec(self, command: Command, *, on_output: OnOutput, until: Until = None) -> Ended:
        async with self._one_at_a_time:
            self._looked_at = 0.0
            box = await self._attachment.at_hand()
            if box is None or box.id != self._ready_in:
                raise lost()  # another has not its packages yet
            try:
                run = await self._run(box, command, on_output, until)
                await self._mirror.keep(run.ended)
            except SandboxLost:
                self._attachment.lose(box)
                raise
        return Ended(None if run.stopped else run.ended.code, run.output, run.timed_out)

    async def arm(self, command: Command) -> bool:
        """Start *command* ahead where there is a box, as the port says; the box lives no longer for it."""
        async with self._one_at_a_time:
            if (box := self._attachment.attached) is None:
                return False
            try:
                await self._armed.arm(box, command)
            except SandboxLost:
                self._attachment.lose(box)
                raise
        return True

    def describe(self) -> IsolationMode:
        return "vm"

    def take_notes(self) -> tuple[str, ...]:
        return self._attachment.take_notes()

    async def close(self) -> None:
        """Let go of the box. It lives out its time: others may be at work in it, and the next server adopts it."""
        await self._armed.disarm()
        if self._attachment.attached:
            # The SDK 2.63 aborts the process in one of 20 cases where a stream was let go of right before its end.
            await anyio.sleep(_SECONDS_TO_LET_GO)
        self._attachment.let_go()

    async def _run(self, box: Box, command: Command, on_output: OnOutput, until: Until) -> Run:
        """Run *command*, by what waits for it where that still can."""
        if (waiting := await self._armed.ordered(box, command, on_output)) is not None:
            run = await waiting.finished(until)
            if not run.ended.spoiled:
                return run
        started = BoxedCommand(box, command, self._stage, on_output)
        await started.start(self._mirror)
        return await started.finished(until)

    async def _noticed(self) -> AsyncGenerator[None]:
        """Yield for what the box tells of; return where there is none, or it tells no more."""
        with suppress(SandboxBusy, SandboxLost):  # a look will tell
            if (box := await self._attachment.at_hand()) is not None:
                async with aclosing(changes_in(box, await self._mirror.rules())) as changes:
                    async for _ in changes:
                        yield

    def _is_fresh(self) -> bool:
        return anyio.current_time() - self._looked_at <= _FRESH_S

    async def _look_at(self, path: FilePath) -> None:
        """Read back *path* where something else wrote it."""
        box = await self._attachment.at_hand()
        with suppress(SandboxLost):  # the look that follows will tell
            if box is None or await self._mirror.is_in_step(box, path):
                return
        await self._look(path)

    async def _look(self, *also: FilePath) -> None:
        """Read back what something else wrote in the box, if there is one; the host's copy serves without it."""
        for _ in range(2):  # once more where the box was paused, or reached by a connection that broke
            if (box := await self._attachment.at_hand()) is None:
                return
            try:
                await self._mirror.look(box, also=also)
            except SandboxLost:
                self._attachment.lose(box)
            else:
                return

    async def _make_ready(self, box: Box, progress: OnStage) -> None:
        self._packages, read_back = await self._prepared(box)
        if read_back:
            self._attachment.note(_READ_BACK.format(count=read_back))
        if await self._make_project():
            self._packages, _ = await self._prepared(box)
        if self._packages.due:
            await progress("installing")
            await self._install(box)
            self._packages, _ = await self._prepared(box)
        if (version := self._packages.convex) is None:
            raise InstallFailed(
                "The package `convex` is not installed.", next_step="Write it into package.json, then call again."
            )
        check_version(version)
        content = await self._content()
        self._has_tsconfig = content(f"{named_functions_folder(content('convex.json'))}/tsconfig.json") is not None

    async def _install(self, box: Box) -> None:
        """Install what package.json asks for: what the lock says where it fits, and a new lock where not."""
        for verb in ("ci", "install"):
            request = {"arguments": [verb, *QUIETLY], "env": IMPATIENTLY}
            answer = await box.do("install", request, Installed, within_s=DEADLINE_S)
            if answer.code == 0:
                return
            if lacks_network(answer.output) and not self._has_internet:
                raise self._not_in_the_template()
        raise failed(answer.output, timed_out=False)

    def _not_in_the_template(self) -> InstallFailed:
        theirs = ", ".join(f"`{name}` {version}" for name, version in self._template.packages().items())
        return InstallFailed(
            "package.json asks for packages that the sandbox's template has not, and the sandbox has no network.",
            next_step=f"Ask for no others than {theirs}; or have the operator set MCP_CONVEX_E2B_INTERNET=true.",
        )

    async def _prepared(self, box: Box) -> tuple[Packages, int]:
        """Return which packages *box* has, and how many files were read back from it."""
        about: dict[str, Any] = {
            "compilers": COMPILERS,
            "needed": [PRELOAD],
            "spared": self._armed.id_in(box),
            "stage": self._stage,
        }
        answer, in_step = await self._mirror.look_by("prepare", box, Prepared, **about)
        if in_step.replayed:  # what was said of the packages was said of other files
            answer, _ = await self._mirror.look_by("prepare", box, Prepared, **about)
        return answer.packages, in_step.read_back

    async def _make_project(self) -> bool:
        """Write the files that the project lacks, and say whether there were any."""
        missing = self._template.missing(await self._content())
        if missing:
            await self.write(missing)
        return bool(missing)

    async def _content(self) -> Content:
        """Return a reader of the few files that decide what a project lacks; of others it only tells that they are."""
        files = (await self._mirror.state()).files
        contents = await self._mirror.contents(path for path in files if path.endswith((".json", ".gitignore")))

        def read(path: str) -> bytes | None:
            return contents.get(FilePath(path), b"" if path in files else None)

        return read
