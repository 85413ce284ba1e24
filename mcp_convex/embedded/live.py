"""What is live: the engine that answers, what it runs, and how another takes its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import TaskGroup

from mcp_convex.domain.errors import ConvexMcpError, EngineFailed
from mcp_convex.embedded import durable
from mcp_convex.embedded.engine import Engine, EngineRefused, Engines
from mcp_convex.embedded.push import Push
from mcp_convex.embedded.refusals import Refusal, bad_request
from mcp_convex.embedded.signals import Signal

LOAD_S = 20.0
CHECK_S = 60.0
_OPEN_S = 60.0
_READ_S = 30.0
_QUIESCE_S = 5.0
_FIRST_DELAY_S = 0.1
_LAST_DELAY_S = 10.0

Terms = Callable[[Push | None], dict[str, Any]]
"""What an engine is told together with what it shall load, or with nothing where nothing was pushed."""


@dataclass(slots=True)
class Commits:
    """What has changed in the data, and until when."""

    ts: int = 0
    """Nanoseconds, growing."""
    signal: Signal = field(default_factory=Signal)
    tables: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    """The latest commit to each table, by component and name."""

    def commit(self, ts: int, tables: list[list[str]]) -> None:
        """Take note of a commit."""
        self.ts = max(self.ts, ts)
        for component, table in tables:
            self.tables[component, table] = self.ts
        self.signal.notify()


@dataclass(slots=True)
class Candidate:
    """A push that an engine has loaded, and that may become the live one."""

    push: Push
    engine: Engine
    env: dict[str, str]

    def serves(self, push: Push, env: dict[str, str]) -> bool:
        """Whether the engine can be used for *push* under *env*."""
        return not self.engine.ended and self.env == env and self.push.same_as(push)


class Live:
    """One engine at a time has the data open. Whoever calls waits while another takes over."""

    def __init__(self, file: Path, engines: Engines, terms: Terms, commits: Commits) -> None:
        self.push: Push | None = Push.read(file)
        self._file = file
        self._engines = engines
        self._terms = terms
        self._commits = commits
        self._engine: Engine | None = None
        self._caretaker: Engine | None = None
        """Holds the data until another takes over, and serves nothing: what is live does not load any more."""
        self._switching = anyio.Lock()

    async def call(self, op: str, *, deadline_s: float = _READ_S, **fields: Any) -> Any:
        """
        Ask the live engine.

        Raises:
            EngineRefused: It answered with an error.
            EngineFailed: It died or did not answer within *deadline_s* seconds.
        """
        engine = await self._running()
        return await engine.call(op, deadline_s=deadline_s, **fields)

    async def check(self, push: Push) -> Mapping[str, Any]:
        """Return what `call` of `check` says of *push*'s schemas, also where what is live does not load any more."""
        verdict: Mapping[str, Any]
        with suppress(EngineFailed):
            verdict = await self.call("check", schemas=push.schemas, deadline_s=CHECK_S)
            return verdict
        async with self._switching:
            holder = await self._holder()
            verdict = await holder.call("check", schemas=push.schemas, deadline_s=CHECK_S)
            return verdict

    async def keep_alive(self) -> None:
        """Start the engine again whenever it dies, called or not, for the sake of crons."""
        delay_s = _FIRST_DELAY_S
        while True:
            started = anyio.current_time()
            with suppress(ConvexMcpError):
                engine = await self._running()
                await self._engines.warm_up()
                await engine.wait_ended()
            lived = anyio.current_time() - started > _LAST_DELAY_S
            delay_s = _FIRST_DELAY_S if lived else min(2 * delay_s, _LAST_DELAY_S)
            await anyio.sleep(delay_s)

    async def replace(self, candidate: Candidate, tasks: TaskGroup) -> None:
        """
        Let *candidate* take over, once the engine before it has written everything out.

        Raises:
            Refusal: The stored documents do not fit its schemas. The engine before it goes on.
            EngineFailed: It could not take over. The engine before it goes on.
        """
        # Half a change of engines would leave none, so that a caller who gives up does not stop it.
        with anyio.CancelScope(shield=True):
            async with self._switching:
                old = await self._quiet()
                try:
                    opened = await self._open(candidate, old)
                except (Refusal, ConvexMcpError, EngineRefused):
                    await self._step_back(old, candidate)
                    raise
                self._engine, self.push = candidate.engine, candidate.push
                tasks.start_soon(old.kill)
                self._commits.commit(opened, [])

    def renew(self, push: Push) -> None:
        """Keep *push*, the live one as it is since env vars were changed."""
        self.push = push
        durable.write_json(self._file, push.record())

    async def close(self) -> None:
        """Let the engine finish what runs, within bounds, and end it."""
        async with self._switching:
            if self._engine and not self._engine.ended:
                with suppress(EngineFailed, EngineRefused):
                    await self._engine.call("quiesce", deadlineMs=1000, deadline_s=_QUIESCE_S)
                await self._engine.kill()

    async def _running(self) -> Engine:
        if self._engine is None or self._engine.ended or self._switching.locked():
            async with self._switching:
                if self._engine is None or self._engine.ended:
                    self._engine = await self._revived(self.push)
                return self._engine
        return self._engine

    async def _revived(self, push: Push | None) -> Engine:
        engine = await self._engines.take(fresh=bool(push and push.packages))
        try:
            await engine.call("load", **self._terms(push), deadline_s=LOAD_S)
            if self._caretaker:
                await self._caretaker.kill()
            opened = await engine.call("open", deadline_s=_OPEN_S)
        except EngineRefused as exc:
            await engine.kill()
            raise EngineFailed(
                f"The embedded deployment could not start again: {exc.code}.",
                next_step="Push again; if its data are damaged, move its folder out of the data directory.",
            ) from exc
        self._commits.commit(int(opened["ts"]), [])
        return engine

    async def _quiet(self) -> Engine:
        """Return the engine once it has written everything out and takes no more work."""
        engine = await self._holder()
        with suppress(EngineFailed):
            await engine.call("quiesce", deadlineMs=int(_QUIESCE_S * 1000), deadline_s=2 * _QUIESCE_S)
            return engine
        engine = await self._revived(self.push)
        await engine.call("quiesce", deadlineMs=0, deadline_s=_QUIESCE_S)
        return engine

    async def _holder(self) -> Engine:
        """Return the engine that has the data open."""
        for engine in (self._engine, self._caretaker):
            if engine and not engine.ended:
                return engine
        try:
            return await self._revived(self.push)
        except EngineFailed:
            self._caretaker = await self._revived(None)
            return self._caretaker

    async def _open(self, candidate: Candidate, old: Engine) -> int:
        verdict = await old.call("check", schemas=candidate.push.schemas, deadline_s=CHECK_S)
        if not verdict["ok"]:
            raise bad_request("SchemaValidationFailed", verdict["error"])
        opened = await candidate.engine.call("open", deadline_s=_OPEN_S)
        durable.write_json(self._file, candidate.push.record())
        return int(opened["ts"])

    async def _step_back(self, old: Engine, candidate: Candidate) -> None:
        await candidate.engine.kill()
        if old is self._caretaker:
            await old.kill()
            return
        self._engine = old
        try:
            await old.call("resume", deadline_s=_OPEN_S)
        except (EngineRefused, EngineFailed):
            await old.kill()
