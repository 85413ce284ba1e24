"""Supervising Node: starting engines confined, speaking with them line by line, and ending them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from mcp_convex.domain.errors import EngineFailed
from mcp_convex.domain.ports import ConfinedProcess, Launch, Launcher
from mcp_convex.embedded import durable
from mcp_convex.embedded.places import Place

ENGINE = Path(__file__).parent / "engine" / "main.mjs"

Event = dict[str, Any]

_START_S = 30.0
_KILL_S = 10.0
_LONGEST_LINE = 512 * 1024 * 1024
"""Bytes: an answer may carry a whole table or a file."""


class EngineRefused(Exception):
    """The engine answered a request with an error of its own: a code and a message in Convex's words."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Engine:
    """One Node process, from its start to its end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, process: ConfinedProcess) -> None:
        self._reader = reader
        self._writer = writer
        self._process = process
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last_id = 0
        self._ended = anyio.Event()

    @property
    def ended(self) -> bool:
        """Whether the process is gone, or about to be."""
        return self._ended.is_set()

    async def wait_ended(self) -> None:
        """Return when the process is gone, or about to be."""
        await self._ended.wait()

    async def call(self, op: str, *, deadline_s: float, **fields: Any) -> Any:
        """
        Send a request and return its answer.

        The request is on its way when this first suspends, so that what is called later comes later.

        Raises:
            EngineRefused: The engine answered with an error.
            EngineFailed: It died, or did not answer within *deadline_s* seconds and was killed.
        """
        if self.ended:
            raise _died()
        self._last_id += 1
        number, answer = self._last_id, asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        self._writer.write(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n")
        try:
            with anyio.fail_after(deadline_s):
                return await answer
        except TimeoutError:
            await self.kill()
            raise EngineFailed(
                f"The embedded deployment did not finish within {deadline_s:g} s; its function runner was restarted.",
                next_step="Look for an endless loop or a call that never returns.",
            ) from None
        finally:
            self._waiting.pop(number, None)

    async def listen(self, on_event: Callable[[Engine, Event], None]) -> None:
        """Read answers and events until the process closes its end; then fail whoever still waits."""
        try:
            while line := await self._reader.readline():
                message = json.loads(line)
                if "event" in message:
                    on_event(self, message)
                else:
                    self._settle(message)
        except (OSError, ValueError, KeyError, TypeError):
            pass  # App code can write to the descriptor too; an engine that talks nonsense is ended.
        finally:
            self._ended.set()
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(_died())
            await self.kill()
            self._writer.close()

    async def kill(self) -> None:
        """End the process and whatever it started."""
        self._ended.set()
        # Shielded, for this is called when everything ends; bounded, for nothing may end because of it.
        with anyio.move_on_after(_KILL_S, shield=True):
            await self._process.kill()

    def _settle(self, message: dict[str, Any]) -> None:
        answer = self._waiting.get(message["id"])
        if answer is None or answer.done():
            return
        if error := message.get("error"):
            answer.set_exception(EngineRefused(error["code"], error["message"]))
        else:
            answer.set_result(message.get("ok"))


class Engines:
    """Starts engines for one deployment, and keeps one ahead so that a push does not wait for Node."""

    def __init__(
        self, launcher: Launcher, place: Place, tasks: TaskGroup, on_event: Callable[[Engine, Event], None]
    ) -> None:
        self._launcher = launcher
        self._place = place
        self._tasks = tasks
        self._on_event = on_event
        self._starting = anyio.Lock()
        self._spare: Engine | None = None

    async def take(self, *, fresh: bool = False) -> Engine:
        """
        Return an engine that nobody else has: the spare one if there is one, or one that starts now if *fresh*.

        Raises:
            ToolMissing: There is no Node, or it is too old.
        """
        async with self._starting:
            if fresh or self._spare is None or self._spare.ended:
                return await self._start()
            spare, self._spare = self._spare, None
            return spare

    async def warm_up(self) -> None:
        """Have a spare engine ready."""
        async with self._starting:
            if self._spare is None or self._spare.ended:
                self._spare = await self._start()

    async def _start(self) -> Engine:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await self._launch(theirs.fileno())
        except BaseException:  # cancelled or failed: nobody else closes it
            ours.close()
            raise
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LONGEST_LINE)
        engine = Engine(reader, writer, process)
        self._tasks.start_soon(engine.listen, self._on_event)
        return engine

    async def _launch(self, descriptor: int) -> ConfinedProcess:
        launch = Launch(
            argv=["node", str(ENGINE), str(descriptor)],
            cwd=self._place.engine,
            env={"TZ": "UTC"},
            readable=[ENGINE.parent, self._place.engine, *self._place.packages()],
            writable=[durable.make_folder(self._place.engine / "data")],
            pass_fds=[descriptor],
        )
        try:
            with anyio.fail_after(_START_S):
                return await self._launcher.start(launch, _ignore_output)
        except TimeoutError as exc:
            raise EngineFailed(
                f"The embedded deployment's function runner did not start within {_START_S:g} s.",
                next_step="Try again; if it happens again, have the operator set MCP_CONVEX_ISOLATION=none.",
            ) from exc


def _ignore_output(_: str) -> None:
    """Drop what the process prints: functions' output comes as log events, and the rest may quote a secret."""


def _died() -> EngineFailed:
    return EngineFailed(
        "The embedded deployment's function runner ended while the call was under way. It has been restarted.",
        next_step="Call again; if it happens again, look at what the function does to the process.",
    )
