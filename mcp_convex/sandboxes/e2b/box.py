"""One running sandbox at E2B: its files, and our program in it, which does the work there."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import anyio
import e2b
from pydantic import BaseModel

from mcp_convex.domain.errors import DirectoryUnusable, SandboxError, SandboxLost, SettingsInvalid
from mcp_convex.sandboxes.e2b.answers import Said
from mcp_convex.sandboxes.e2b.failures import lost, translated

LIFETIME_S = 900
"""How long a sandbox lives on after it was last used; E2B ends it then, whatever becomes of this server."""

_OWN = {
    f".mcp-convex/{path.stem}-{sha256(path.read_bytes()).hexdigest()[:12]}{path.suffix}": path.read_bytes()
    for path in (Path(__file__).with_name("program.cjs"), Path(__file__).parents[1] / "preload.cjs")
}
"""The files of ours that every sandbox gets."""
_PROGRAM, PRELOAD = _OWN
_NO_SUCH_PROGRAM = 127
SECONDS_TO_END = 5.0
"""How long it may take to end what is not needed any more."""

_LONGEST_LIFETIME_S = 3600
"""What E2B allows to every account."""
_AT_ONCE = 500
"""Files that one command deletes."""
_NO_LIMIT = 0
"""
Of the SDK's, for a command: `translated` has ours.

Version 2.63 ends an await of whoever called when a `timeout` is over. For a `request_timeout` it waits in a task of
its own, whose error nobody retrieves before Python 3.12 where the caller is cancelled meanwhile.
"""
_LONGEST_MESSAGE = 128 * 1024 * 1024
"""Characters."""

AnswerT = TypeVar("AnswerT", bound=BaseModel)
Message = Mapping[str, Any]
OnSaid = Callable[["Job", Said], Awaitable[None]]


class Box:
    """
    Paths are from the home folder of the sandbox.

    Every method raises `SandboxLost` where the sandbox is gone, and other `SandboxError`s as `translated` says.
    """

    def __init__(self, sandbox: e2b.AsyncSandbox, patience_s: float) -> None:
        """Attach to *sandbox*; a call may take *patience_s* seconds."""
        self._sandbox = sandbox
        self.patience_s = patience_s
        self._lives_until = _now() + LIFETIME_S
        self._has_program = False

    @property
    def id(self) -> str:
        return self._sandbox.sandbox_id

    async def extend(self, needed_s: float = 0.0) -> None:
        """Have the sandbox live for *needed_s* seconds at least, and for half of its usual lifetime."""
        if self._lives_until - _now() > max(needed_s, LIFETIME_S / 2):
            return
        lifetime_s = min(int(max(needed_s, LIFETIME_S)) + 1, _LONGEST_LIFETIME_S)
        async with translated(self.patience_s):
            await self._sandbox.set_timeout(lifetime_s)
        self._lives_until = _now() + lifetime_s

    async def digest(self, path: str) -> str | None:
        """Return the sha256 of the file at *path*, in hex; None where there is no file."""
        async with translated(self.patience_s):
            try:
                return sha256(await self._sandbox.files.read(path, format="bytes")).hexdigest()
            except (e2b.FileNotFoundException, e2b.InvalidArgumentException):
                return None

    async def write(self, files: Mapping[str, bytes]) -> None:
        """Write *files* in one request, in their order; after a failure the first of them may be written."""
        sent = dict(files) if self._has_program else {**_OWN, **files}
        async with translated(self.patience_s):
            await self._sandbox.files.write_files([{"path": path, "data": data} for path, data in sent.items()])
        self._has_program = True

    async def remove(self, paths: Iterable[str]) -> None:
        """Delete those of *paths* that are there."""
        left = list(paths)
        for first in range(0, len(left), _AT_ONCE):
            async with translated(self.patience_s):
                paths_now = shlex.join(left[first : first + _AT_ONCE])
                await self._sandbox.commands.run(f"rm -f -- {paths_now}", timeout=_NO_LIMIT, request_timeout=_NO_LIMIT)

    async def do(
        self, task: str, request: Message, answers: type[AnswerT], *, within_s: float | None = None
    ) -> AnswerT:
        """Have the program carry out *task*, and return its answer."""
        async with translated(within_s or self.patience_s):
            job = await self.start(task, request, _nothing)
            try:
                return await job.answer(answers)
            finally:
                await job.end()

    async def start(self, task: str, request: Message, on_said: OnSaid) -> Job:
        """Have the program begin with *task*; what it says before its answer goes to *on_said*."""
        if not self._has_program:
            await self.write({})
        job = Job(on_said, self.patience_s)
        async with translated(self.patience_s):
            handle = await self._sandbox.commands.run(
                f"exec node {_PROGRAM} {task}",
                background=True,
                stdin=True,
                on_stdout=job.hear,
                timeout=_NO_LIMIT,
                request_timeout=_NO_LIMIT,
                retain_output=False,
            )
        job.follow(handle)
        try:
            await job.send(request)
        except BaseException:  # cancelled or failed: the caller never gets the job that it would end
            await job.end()
            raise
        return job


class Job:
    """One task of the program while it runs; `end` it in any case."""

    def __init__(self, on_said: OnSaid, patience_s: float) -> None:
        self._on_said = on_said
        self._patience_s = patience_s
        self._pieces: list[str] = []
        self._length = 0
        self._answer: Message | None = None
        self._sending = anyio.Lock()
        self._sent = 0

    async def send(self, message: Message) -> None:
        """Send *message* to the program, after those before it; once more where it may not have arrived."""
        async with self._sending:
            self._sent += 1
            line = json.dumps({**message, "number": self._sent}) + "\n"
            try:
                await self._write(line)
            except SandboxLost:
                if self.is_over:
                    raise
                await self._write(line)  # by its number the program knows one that it has had

    async def _write(self, line: str) -> None:
        async with translated(self._patience_s):
            await self._handle.send_stdin(line)

    def follow(self, handle: e2b.AsyncCommandHandle[None]) -> None:
        """Take the program's process, once it has been started."""
        self._handle = handle
        # A task of its own: to cancel a wait of the SDK is to cancel the reading of the stream.
        self._over = asyncio.create_task(handle.wait())
        self._over.add_done_callback(_look_at)

    @property
    def is_over(self) -> bool:
        """Say whether the program has ended, or is not to be heard any more."""
        return self._over.done()

    def when_over(self, call: Callable[[], None]) -> None:
        """Have *call* made then."""
        self._over.add_done_callback(lambda _: call())

    async def ended(self) -> None:
        """Return when the program has ended, or is not to be heard any more."""
        await asyncio.wait({self._over})

    async def answer(self, answers: type[AnswerT]) -> AnswerT:
        """
        Return what the program *answers*, once it has ended.

        Raises:
            DirectoryUnusable: The workspace is larger than one project.
        """
        await self.ended()
        async with translated(None):
            try:
                self._over.result()
            except e2b.CommandExitException as exc:
                if exc.exit_code == _NO_SUCH_PROGRAM:
                    raise SettingsInvalid(
                        "The template of the sandbox has no Node.", next_step="Have the operator check E2B's template."
                    ) from exc
                raise
            if self._answer is not None and "error" not in self._answer:
                return answers.model_validate(self._answer)
        if self._answer is not None and self._answer["error"] == "too many files":
            raise DirectoryUnusable(
                "The workspace in the sandbox holds too many files.", next_step="Delete what is no source there."
            )
        raise lost()

    async def end(self) -> None:
        """Let go of the program, and end it if it has not ended by itself."""
        if self._over.done():
            return
        with anyio.CancelScope(shield=True):
            for letting_go in (self._handle.kill, self._handle.disconnect):
                with suppress(SandboxError):
                    async with translated(SECONDS_TO_END):
                        await letting_go()

    async def hear(self, text: str) -> None:
        """Take a piece of the program's output."""
        head, newline, rest = text.partition("\n")
        self._pieces.append(head)
        self._length += len(head)
        if self._length > _LONGEST_MESSAGE:
            raise lost()
        while newline:
            await self._take(Said.model_validate_json("".join(self._pieces)))
            head, newline, rest = rest.partition("\n")
            self._pieces, self._length = [head], len(head)

    async def _take(self, said: Said) -> None:
        if said.answer is not None:
            self._answer = said.answer
        else:
            await self._on_said(self, said)


def _look_at(over: asyncio.Task[Any]) -> None:
    """Look at how a wait ended, so that asyncio does not complain: who wanted to know may have left."""
    if not over.cancelled():
        over.exception()


async def _nothing(_job: Job, _said: Said) -> None:
    """Take what nobody waits for."""


def _now() -> float:
    return asyncio.get_running_loop().time()
