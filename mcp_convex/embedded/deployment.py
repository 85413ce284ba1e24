"""One deployment: its live engine, what is pushed to it, and everything that waits for either."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from mcp_convex.domain.errors import ConvexMcpError, EngineFailed
from mcp_convex.domain.ports import Launcher
from mcp_convex.embedded import durable
from mcp_convex.embedded.engine import Engine, EngineRefused, Engines, Event
from mcp_convex.embedded.env_vars import EnvVars, missing
from mcp_convex.embedded.logs import Logs
from mcp_convex.embedded.modules import ModuleStore
from mcp_convex.embedded.places import Place, Urls
from mcp_convex.embedded.push import Push, PushFolder
from mcp_convex.embedded.refusals import Refusal, bad_request
from mcp_convex.embedded.signals import Signal

_LOAD_S = 20.0
_OPEN_S = 60.0
_READ_S = 30.0
_QUIESCE_S = 5.0
_FIRST_DELAY_S = 0.1
_LAST_DELAY_S = 10.0
_PENDING = 4
"""Pushes that have started and may still finish."""


@dataclass(slots=True)
class _Candidate:
    """A push that an engine has loaded, and that may become the live one."""

    push: Push
    engine: Engine
    env: dict[str, str]

    def serves(self, push: Push, env: dict[str, str]) -> bool:
        """Whether the engine can be used for *push* under *env*."""
        return not self.engine.ended and self.env == env and self.push.same_as(push)


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


class Deployment:
    """A running deployment. Everything that calls it goes through here, so that a push can take over in between."""

    def __init__(self, name: str, place: Place, urls: Urls, launcher: Launcher, tasks: TaskGroup) -> None:
        folder = place.folder
        self.name = name
        self.urls = urls
        self.env = EnvVars(folder / "env.json")
        self.modules = ModuleStore(folder / "modules")
        self.logs = Logs()
        self.commits = Commits()
        self.live: Push | None = Push.read(folder / "live.json")
        self.generation = 0
        """Grows with each push that goes live and each change of env vars."""
        self._live_file = folder / "live.json"
        self._code = PushFolder(durable.make_folder(place.engine) / "code", place.node_modules)
        self._engines = Engines(launcher, place, tasks, self._on_event)
        self._tasks = tasks
        self._engine: Engine | None = None
        self._candidate: _Candidate | None = None
        self._pending: dict[str, Push] = {}
        self._claimed: dict[str, Any] = {}
        self._switching = anyio.Lock()
        self._pushing = anyio.Lock()

    async def call(self, op: str, *, deadline_s: float = _READ_S, **fields: Any) -> Any:
        """
        Ask the live engine, waiting for one that is just taking over.

        Raises:
            EngineRefused: It answered with an error.
            EngineFailed: It died or did not answer within *deadline_s* seconds.
        """
        engine = await self._live_engine()
        return await engine.call(op, deadline_s=deadline_s, **fields)

    async def start(self) -> None:
        """
        Start the live engine; it is ready when the first call is answered.

        Raises:
            ToolMissing: There is no Node, or it is too old.
        """
        await self._engines.warm_up()
        await to_thread.run_sync(self._tidy)
        self._tasks.start_soon(self._keep_alive)

    async def warm_up(self) -> None:
        """Have a spare engine ready for the next push, if that is possible."""
        with suppress(ConvexMcpError):
            await self._engines.warm_up()

    async def prepare(self, body: dict[str, Any]) -> Push:
        """
        Load what a `start_push` request brings in an engine of its own, and return what the engine found in it.

        Raises:
            Refusal: The code cannot be analysed. What is live is untouched.
        """
        async with self._pushing:
            push = await to_thread.run_sync(Push.sent, body, self.modules)
            if self._candidate and self._candidate.serves(push, self.env.values):
                return self._candidate.push
            await self._drop_candidate()
            await to_thread.run_sync(self._code.write, push, self.modules)
            try:
                self._candidate = await self._load(push)
            except (EngineRefused, EngineFailed) as exc:
                self._code.remove(push)
                self._tasks.start_soon(self.warm_up)
                raise bad_request(*_analysis_failure(exc)) from exc
            self._remember(self._candidate.push)
            return self._candidate.push

    def claim_schema(self, push: Push) -> None:
        """Let *push*'s schema be the one that is being pushed; an earlier push with another is overtaken."""
        self._claimed = push.schemas

    def pending(self, push_id: str) -> Push:
        """
        Return a push that was prepared.

        Raises:
            Refusal: It is not known any more.
        """
        if push_id not in self._pending:
            raise bad_request("RaceDetected", "This push was overtaken by others. Push again.")
        return self._pending[push_id]

    def overtaken(self, push: Push) -> bool:
        """Whether a later push has brought another schema."""
        return self._claimed != push.schemas

    async def check(self, push: Push) -> Mapping[str, Any]:
        """Return whether the stored documents fit *push*'s schemas, and if not, the first that does not."""
        answer: Mapping[str, Any] = await self.call("check", schemas=push.schemas, deadline_s=_OPEN_S)
        return answer

    async def finish(self, push: Push, env_seen: Mapping[str, str]) -> None:
        """
        Make *push* the live one.

        Raises:
            Refusal: Env vars or the schema have changed since it started, declared env vars are not set, or the
                stored documents do not fit. What was live still is.
        """
        async with self._pushing:
            if dict(env_seen) != self.env.values:
                raise bad_request("RaceDetected", "Environment variables were changed while this push was under way.")
            if self.overtaken(push):
                raise bad_request("RaceDetected", "The schema was overwritten by another push.")
            if refusal := missing(push.missing_env, self.env.values):
                raise refusal
            candidate = await self._candidate_for(push)
            with anyio.CancelScope(shield=True):
                async with self._switching:
                    await self._take_over(candidate)
            self._candidate = None
            self._pending.pop(push.id, None)
            await to_thread.run_sync(self._tidy)
            self._tasks.start_soon(self.warm_up)

    async def set_env(self, changes: list[dict[str, Any]]) -> None:
        """
        Set and unset env vars, all or none.

        Raises:
            Refusal: One of them is not allowed, or the auth config needs one that would go.
        """
        values = self.env.changed(changes, self.live.required_env if self.live else ())
        async with self._pushing:
            try:
                answer = await self.call("env", env=values)
            except EngineRefused as exc:
                raise bad_request(exc.code, exc.message) from exc
            self.env.replace(values)
            if self.live:
                self.live = self.live.with_auth(answer["appAuth"])
                durable.write_json(self._live_file, self.live.record())
            self._changed()

    async def close(self) -> None:
        """Let the live engine finish what runs, within bounds, and end it."""
        async with self._switching:
            if self._engine and not self._engine.ended:
                with suppress(EngineFailed, EngineRefused):
                    await self._engine.call("quiesce", deadlineMs=1000, deadline_s=_QUIESCE_S)
                await self._engine.kill()

    async def _keep_alive(self) -> None:
        """Start the live engine again whenever it dies, called or not, for the sake of crons."""
        delay_s = _FIRST_DELAY_S
        while True:
            started = anyio.current_time()
            with suppress(ConvexMcpError):
                engine = await self._live_engine()
                await self.warm_up()
                await engine.wait_ended()
            lived = anyio.current_time() - started > _LAST_DELAY_S
            delay_s = _FIRST_DELAY_S if lived else min(2 * delay_s, _LAST_DELAY_S)
            await anyio.sleep(delay_s)

    async def _live_engine(self) -> Engine:
        if self._engine is None or self._engine.ended or self._switching.locked():
            async with self._switching:
                if self._engine is None or self._engine.ended:
                    self._engine = await self._revive()
                return self._engine
        return self._engine

    async def _revive(self) -> Engine:
        engine = await self._engines.take(fresh=bool(self.live and self.live.packages))
        try:
            if self.live:
                await engine.call("load", **self._terms(self.live), deadline_s=_LOAD_S)
            opened = await engine.call("open", deadline_s=_OPEN_S)
        except EngineRefused as exc:
            await engine.kill()
            raise EngineFailed(
                f"The embedded deployment could not start again: {exc.code}.",
                next_step="Push again; if its data are damaged, move its folder out of the data directory.",
            ) from exc
        self.commits.commit(int(opened["ts"]), [])
        return engine

    async def _load(self, push: Push) -> _Candidate:
        # What is installed by now may not have been there when the spare engine started.
        engine, env = await self._engines.take(fresh=bool(push.packages)), self.env.values
        try:
            answer = await engine.call("load", **self._terms(push), deadline_s=_LOAD_S)
        except EngineRefused:
            await engine.kill()
            raise
        return _Candidate(push.loaded(answer), engine, env)

    def _terms(self, push: Push) -> dict[str, Any]:
        return {"root": f"code/{push.id}", "env": self.env.values, "urls": self.urls._asdict(), "name": self.name}

    async def _candidate_for(self, push: Push) -> _Candidate:
        if self._candidate and self._candidate.serves(push, self.env.values):
            return self._candidate
        await self._drop_candidate()
        return await self._load(push)

    async def _take_over(self, candidate: _Candidate) -> None:
        old = await self._quiet()
        try:
            verdict = await old.call("check", schemas=candidate.push.schemas, deadline_s=_OPEN_S)
            if not verdict["ok"]:
                raise bad_request("SchemaValidationFailed", verdict["error"])
            opened = await candidate.engine.call("open", deadline_s=_OPEN_S)
            durable.write_json(self._live_file, candidate.push.record())
        except (Refusal, ConvexMcpError, EngineRefused, OSError):
            await self._step_back(old, candidate)
            raise
        self._engine, self.live = candidate.engine, candidate.push
        self._tasks.start_soon(old.kill)
        self.commits.commit(int(opened["ts"]), [])
        self._changed()

    async def _quiet(self) -> Engine:
        """Return the live engine once it has written everything out and takes no more work."""
        quiesce = {"deadlineMs": int(_QUIESCE_S * 1000)}
        if self._engine and not self._engine.ended:
            with suppress(EngineFailed):
                await self._engine.call("quiesce", **quiesce, deadline_s=2 * _QUIESCE_S)
                return self._engine
        engine = await self._revive()
        await engine.call("quiesce", **quiesce, deadline_s=2 * _QUIESCE_S)
        return engine

    async def _step_back(self, old: Engine, candidate: _Candidate) -> None:
        await candidate.engine.kill()
        self._candidate = None
        self._engine = old
        with suppress(EngineRefused, EngineFailed):
            await old.call("resume", deadline_s=_OPEN_S)
            return
        await old.kill()

    async def _drop_candidate(self) -> None:
        if self._candidate:
            await self._candidate.engine.kill()
            self._candidate = None

    def _remember(self, push: Push) -> None:
        self._pending[push.id] = push
        while len(self._pending) > _PENDING:
            self._pending.pop(next(iter(self._pending)))

    def _tidy(self) -> None:
        kept = [*self._pending.values(), *([self.live] if self.live else [])]
        self._code.prune({push.id for push in kept})
        self.modules.prune({sha256 for push in kept for sha256 in push.hashes})

    def _changed(self) -> None:
        self.generation += 1
        self.commits.signal.notify()

    def _on_event(self, _: Engine, event: Event) -> None:
        match event["event"]:
            case "log":
                self.logs.add(event["entry"])
            case "commit":
                self.commits.commit(int(event["ts"]), event["tables"])
            case _:
                pass


def _analysis_failure(exc: EngineRefused | EngineFailed) -> tuple[str, str]:
    """Return the code and text for a push whose analysis ended by *exc*: its engine may have died of it."""
    if isinstance(exc, EngineRefused):
        return exc.code, exc.message
    return "InvalidModules", f"Hit an error while pushing:\nLoading the pushed modules failed: {exc.message}"
