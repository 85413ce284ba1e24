"""One running sandbox at E2B: its files, and our program in it, which does the work there."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import e2b

from mcp_convex.domain.errors import SandboxError, SettingsInvalid
from mcp_convex.sandboxes.e2b.failures import lost, translated

LIFETIME_S = 900
"""How long a sandbox lives on after it was last used; E2B ends it then, whatever becomes of this server."""

_SOURCE = Path(__file__).with_name("program.cjs").read_bytes()
_PROGRAM = f".mcp-convex/program-{sha256(_SOURCE).hexdigest()[:12]}.cjs"
_NO_SUCH_PROGRAM = 127
_SECONDS_TO_END = 5.0

Message = Mapping[str, Any]
OnMessage = Callable[["Job", Message], Awaitable[None]]


class Box:
    """
    Paths are from the home folder of the sandbox.

    Every method raises `SandboxLost` where the sandbox is gone, and other `SandboxError`s as `translated` says.
    """

    def __init__(self, sandbox: e2b.AsyncSandbox) -> None:
        self._sandbox = sandbox
        self._lives_until = _now() + LIFETIME_S
        self._has_program = False

    @property
    def id(self) -> str:
        return self._sandbox.sandbox_id

    async def extend(self, needed_s: float = 0.0) -> None:
        """Have the sandbox live for *needed_s* seconds at least, and for half of its usual lifetime."""
        if self._lives_until - _now() > max(needed_s, LIFETIME_S / 2):
            return
        lifetime_s = int(max(needed_s, LIFETIME_S)) + 1
        async with translated():
            await self._sandbox.set_timeout(lifetime_s)
        self._lives_until = _now() + lifetime_s

    async def write(self, files: Mapping[str, bytes]) -> None:
        """Write *files* in one request, in their order; after a failure the first of them may be written."""
        sent = dict(files) if self._has_program else {_PROGRAM: _SOURCE, **files}
        async with translated():
            await self._sandbox.files.write_files([{"path": path, "data": data} for path, data in sent.items()])
        self._has_program = True

    async def remove(self, paths: Iterable[str]) -> None:
        """Delete those of *paths* that are there."""
        async with translated():
            await self._sandbox.commands.run(f"rm -f -- {shlex.join(paths)}", timeout=0)

    async def do(self, task: str, request: Message, *, within_s: float) -> Message:
        """Have the program carry out *task*, and return its answer."""
        async with translated(within_s):
            job = await self.start(task, request, _nothing)
            try:
                return await job.answer()
            finally:
                await job.end()

    async def start(self, task: str, request: Message, on_message: OnMessage) -> Job:
        """Have the program begin with *task*; what it says before its answer goes to *on_message*."""
        if not self._has_program:
            await self.write({})
        job = Job(on_message)
        async with translated():
            handle = await self._sandbox.commands.run(
                f"exec node {_PROGRAM} {task}",
                background=True,
                stdin=True,
                on_stdout=job.hear,
                # Any other value breaks: the SDK 2.63 ends an await of whoever called when it is over.
                timeout=0,
                retain_output=False,
            )
        job.follow(handle)
        try:
            await job.send(request)
        except BaseException:
            await job.end()
            raise
        return job


class Job:
    """One task of the program while it runs; `end` it in any case."""

    def __init__(self, on_message: OnMessage) -> None:
        self._on_message = on_message
        self._pieces: list[str] = []
        self._answer: Message | None = None
        self._sending = anyio.Lock()

    async def send(self, message: Message) -> None:
        """Send *message* to the program, after those before it."""
        async with self._sending, translated():
            await self._handle.send_stdin(json.dumps(message) + "\n")

    def follow(self, handle: e2b.AsyncCommandHandle[None]) -> None:
        """Take the program's process, once it has been started."""
        self._handle = handle
        # A task of its own: to cancel a wait of the SDK is to cancel the reading of the stream.
        self._over = asyncio.create_task(handle.wait())

    async def ended(self) -> None:
        """Return when the program has ended, or is not to be heard any more."""
        await asyncio.wait({self._over})

    async def answer(self) -> Message:
        """Return what the program answers, once it has ended."""
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
        if self._answer is None:
            raise lost()
        return self._answer

    async def end(self) -> None:
        """Let go of the program, and end it if it has not ended by itself."""
        with anyio.CancelScope(shield=True), suppress(SandboxError):
            async with translated(_SECONDS_TO_END):
                if not self._over.done():
                    await self._handle.kill()
                    await self._handle.disconnect()
                await asyncio.wait({self._over})
        if self._over.done() and not self._over.cancelled():
            self._over.exception()  # looked at, so that asyncio does not complain: whoever wanted it has had it

    async def hear(self, text: str) -> None:
        """Take a piece of the program's output."""
        head, newline, rest = text.partition("\n")
        self._pieces.append(head)
        while newline:
            await self._take(json.loads("".join(self._pieces)))
            head, newline, rest = rest.partition("\n")
            self._pieces = [head]

    async def _take(self, message: Message) -> None:
        if "answer" in message:
            self._answer = message["answer"]
        else:
            await self._on_message(self, message)


async def _nothing(_job: Job, _message: Message) -> None:
    """Take a message that nobody waits for."""


def _now() -> float:
    return asyncio.get_running_loop().time()
