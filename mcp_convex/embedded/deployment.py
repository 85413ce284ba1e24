"""One deployment: what is live, what is being pushed to it, its env vars and its logs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup

from mcp_convex.domain.errors import ConvexMcpError, EngineFailed
from mcp_convex.domain.ports import Launcher
from mcp_convex.embedded import durable
from mcp_convex.embedded.engine import Engine, EngineRefused, Engines, Event
from mcp_convex.embedded.env_vars import EnvVars, missing
from mcp_convex.embedded.live import LOAD_S, Candidate, Commits, Live
from mcp_convex.embedded.logs import Logs
from mcp_convex.embedded.modules import ModuleStore
from mcp_convex.embedded.places import Place, Urls
from mcp_convex.embedded.push import Push, PushFolder
from mcp_convex.embedded.refusals import bad_request
from mcp_convex.embedded.started import StartedPushes


class Deployment:
    """A running deployment. One push or change of env vars at a time goes through it; calls never wait for those."""

    def __init__(self, name: str, place: Place, urls: Urls, launcher: Launcher, tasks: TaskGroup) -> None:
        self.name = name
        self.urls = urls
        self.env = EnvVars(place.folder / "env.json")
        self.logs = Logs()
        self.commits = Commits()
        self.started = StartedPushes()
        self.generation = 0
        """Grows with each push that goes live and each change of env vars."""
        self._tasks = tasks
        self._modules = ModuleStore(place.folder / "modules")
        self._code = PushFolder(durable.make_folder(place.engine) / "code", place.node_modules)
        self._engines = Engines(launcher, place, tasks, self._on_event)
        self._live = Live(place.folder / "live.json", self._engines, self._terms, self.commits)
        self._candidate: Candidate | None = None
        self._pushing = anyio.Lock()
        self.call = self._live.call

    @property
    def live(self) -> Push | None:
        """What is live; None until something was pushed."""
        return self._live.push

    async def start(self) -> None:
        """
        Start the live engine; it is ready when the first call is answered.

        Raises:
            ToolMissing: There is no Node, or it is too old.
        """
        await self._engines.warm_up()
        await to_thread.run_sync(self._tidy)
        self._tasks.start_soon(self._live.keep_alive)

    async def close(self) -> None:
        """Let the live engine finish what runs, within bounds, and end it."""
        await self._live.close()

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
            push = await to_thread.run_sync(Push.sent, body, self._modules)
            if self._candidate and self._candidate.serves(push, self.env.values):
                return self._candidate.push
            await to_thread.run_sync(self._code.write, push, self._modules)
            try:
                candidate = await self._loaded(push)
            except (EngineRefused, EngineFailed) as exc:
                self._code.remove(push)
                self._tasks.start_soon(self.warm_up)
                raise bad_request(*_analysis_failure(exc)) from exc
            self.started.add(candidate.push)
            return candidate.push

    async def check(self, push: Push) -> Mapping[str, Any]:
        """Return whether the stored documents fit *push*'s schemas, and if not, the first that does not."""
        return await self._live.check(push)

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
            if self.started.overtaken(push):
                raise bad_request("RaceDetected", "The schema was overwritten by another push.")
            if refusal := missing(push.missing_env, self.env.values):
                raise refusal
            candidate = self._candidate
            if candidate is None or not candidate.serves(push, self.env.values):
                candidate = await self._loaded(push)
            self._candidate = None
            await self._live.replace(candidate, self._tasks)
            self._changed()
            self.started.finished(push)
            await to_thread.run_sync(self._tidy)
            self._tasks.start_soon(self.warm_up)

    async def set_env(self, changes: list[dict[str, Any]]) -> None:
        """
        Set and unset env vars, all or none.

        Raises:
            Refusal: One of them is not allowed, or what is live would not load with them.
        """
        async with self._pushing:
            values = self.env.changed(changes, self.live.required_env if self.live else ())
            # Modules are imported again, as in Convex at each call: what reads env vars outside a function sees them.
            copy = await to_thread.run_sync(self._copied, self.live) if self.live else None
            try:
                answer = await self.call("env", env=values, root=copy and _root(copy), deadline_s=LOAD_S)
            except EngineRefused as exc:
                raise bad_request(exc.code, exc.message) from exc
            self.env.replace(values)
            if copy:
                self._live.renew(copy.with_auth(answer["appAuth"]))
            self._changed()

    async def _loaded(self, push: Push) -> Candidate:
        """Load *push*; it is the candidate now, and the one before it is given up."""
        if self._candidate:
            await self._candidate.engine.kill()
        # What is installed by now may not have been there when the spare engine started.
        engine, env = await self._engines.take(fresh=bool(push.packages)), self.env.values
        try:
            answer = await engine.call("load", **self._terms(push), deadline_s=LOAD_S)
        except EngineRefused:
            await engine.kill()
            raise
        self._candidate = Candidate(push.loaded(answer), engine, env)
        return self._candidate

    def _copied(self, push: Push) -> Push:
        copy = push.copied()
        self._code.write(copy, self._modules)
        return copy

    def _terms(self, push: Push | None) -> dict[str, Any]:
        root = push and _root(push)
        return {"root": root, "env": self.env.values, "urls": self.urls._asdict(), "name": self.name}

    def _tidy(self) -> None:
        kept = [*self.started.all(), *([self.live] if self.live else [])]
        # What could not be removed now is removed after the next push.
        with suppress(OSError, ConvexMcpError):
            self._code.prune({push.id for push in kept})
            self._modules.prune({sha256 for push in kept for sha256 in push.hashes})

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


def _root(push: Push) -> str:
    """Return where the engine finds *push*."""
    return f"code/{push.id}"


def _analysis_failure(exc: EngineRefused | EngineFailed) -> tuple[str, str]:
    """Return the code and text for a push whose analysis ended by *exc*: its engine may have died of it."""
    if isinstance(exc, EngineRefused):
        return exc.code, exc.message
    return "InvalidModules", f"Hit an error while pushing:\nLoading the pushed modules failed: {exc.message}"
