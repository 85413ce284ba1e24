"""
Many principals at once: two servers on one PostgreSQL database, called in turns, each with calls of every kind.

Each principal's files and connection bear its name, so that an answer to the wrong one is seen.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import anyio
import httpx2
import psutil

from mcp_convex.boundary.spec import Effect
from mcp_convex.domain.connections import Team, TeamId
from mcp_convex.domain.models import PrincipalId
from mcp_convex.server.adapters import open_the_store
from mcp_convex.tools import TOOLSETS
from tests.doubles.deployment import fake_deployment
from tests.doubles.hosting import DISCOVER, HEADERS, Hosted, tokens_file
from tests.doubles.postgres import PostgresServer, make_tables
from tests.doubles.replicas import shared_environment
from tests.store.records import connection, token
from tests.system.servers import Servers
from tests.world import APP

_LOOKS = 40
"""At the servers' memory."""
_PATIENCE_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of the servers."""

    principals: int
    calls_a_minute: int
    pushes_at_once: int
    rounds_of_pushes: int
    minutes: float


@dataclass(slots=True)
class Seen:
    """What came of it."""

    calls: Counter[str] = field(default_factory=Counter[str])
    misled: list[str] = field(default_factory=list[str])
    """Answers that were another principal's."""
    failed: list[str] = field(default_factory=list[str])
    """Calls that were answered by an error, and events of the audit that are missing, or there twice."""
    took_s: list[float] = field(default_factory=list[float])
    """Of calls beside pushes."""
    memory: list[int] = field(default_factory=list[int])
    """Bytes that the servers hold together, over time."""

    @property
    def growth(self) -> float:
        """The memory of the last third of the time, over that of the third in the middle."""
        third = len(self.memory) // 3
        return statistics.median(self.memory[2 * third :]) / statistics.median(self.memory[third : 2 * third])

    def __str__(self) -> str:
        slowest = statistics.quantiles(self.took_s, n=100)
        kinds = ", ".join(f"{count:,} {name}" for name, count in self.calls.most_common())
        return (
            f"calls: {self.calls.total():,} ({kinds})\n"
            f"answers to the wrong principal: {len(self.misled)}\n"
            f"failures: {len(self.failed)}\n"
            f"median: {1000 * slowest[49]:.0f} ms; of a hundred, the slowest: {1000 * slowest[98]:.0f} ms\n"
            f"memory of both servers: {self.memory[-1] / 2**20:.0f} MiB; its last third over the middle one:"
            f" {self.growth:.3f}"
        )


async def endured(load: Load, folder: Path, postgres: PostgresServer) -> Seen:
    """Put *load* on two servers, and return what came of it."""
    names = [f"p{number}" for number in range(load.principals)]
    async with _servers(folder, postgres, names) as (hosts, processes), AsyncExitStack() as stack:
        pushing = names[: load.pushes_at_once]
        linked: dict[str, str] = {}
        for name in pushing:
            deployment = await stack.enter_async_context(fake_deployment())
            await hosts[0].link(_principal(name), deployment.reach)
            hosts[0].furnish(_principal(name))
            linked[name] = deployment.reach.target.url
        await _grant(hosts[0], names)
        callers = await _callers(hosts, names, stack)
        for name in names:
            await callers[name].say("write_files", changes=_files(name))
        seen = Seen()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_calling, load, list(callers.values()), seen)
            tasks.start_soon(_pushing, load, {callers[name]: url for name, url in linked.items()}, seen)
            tasks.start_soon(_watching, load, [psutil.Process(one) for one in processes], seen)
        seen.failed += await _unaudited(hosts[0], callers.values())
    return seen


@dataclass(eq=False)
class _Caller:
    """One principal, whose calls go to one server after the other."""

    name: str
    http: httpx2.AsyncClient
    urls: cycle[str]
    said: Counter[str] = field(default_factory=Counter[str])
    """How often which tool."""

    async def say(self, tool: str, **arguments: object) -> dict[str, Any]:
        """Return what *tool* answers, whatever it is."""
        self.said[tool] += 1
        params = {**DISCOVER["params"], "name": tool, "arguments": arguments}
        headers = {"Mcp-Method": "tools/call", "Mcp-Name": tool}
        body = {**DISCOVER, "method": "tools/call", "params": params}
        answer = await self.http.post(next(self.urls), json=body, headers=headers)
        text = answer.text
        if answer.headers["content-type"].startswith("text/event-stream"):
            text = [line for line in text.splitlines() if line.startswith("data: {")][-1].removeprefix("data: ")
        return json.loads(text)["result"]["structuredContent"]


@asynccontextmanager
async def _servers(
    folder: Path, postgres: PostgresServer, names: Sequence[str]
) -> AsyncIterator[tuple[list[Hosted], list[int]]]:
    database = postgres.url(postgres.new_database())
    await make_tables(database)
    servers = Servers(folder, shared_environment(database), *tokens_file(folder, *names))
    lease = ("--push-lease-s", "30")  # as operators have it: the tests' own is for who waits for a dead server
    async with servers.one("one", *lease) as (one, first), servers.one("two", *lease) as (two, second):
        yield [one, two], [first.pid, second.pid]


async def _grant(host: Hosted, names: Sequence[str]) -> None:
    """Have each principal hold a connection to a team of its own name."""
    async with open_the_store(host.settings) as store:
        for number, name in enumerate(names):
            granted = connection().model_copy(update={"team": Team(id=TeamId(number), slug=name, name=name)})
            await store.connections.put_token(_principal(name), granted, token(f"token-of-{name}"))


async def _callers(hosts: Sequence[Hosted], names: Sequence[str], stack: AsyncExitStack) -> dict[str, _Caller]:
    made: dict[str, _Caller] = {}
    limits = httpx2.Limits(max_connections=2, max_keepalive_connections=2)
    for name in names:
        headers = {**HEADERS, "Authorization": f"Bearer {hosts[0].tokens[name]}"}
        http = httpx2.AsyncClient(headers=headers, timeout=_PATIENCE_S, limits=limits)
        made[name] = _Caller(name, await stack.enter_async_context(http), cycle([host.url for host in hosts]))
    return made


async def _calling(load: Load, callers: Sequence[_Caller], seen: Seen) -> None:
    """Call at an even pace, whoever's answer is still out."""
    rng = random.Random(7)  # noqa: S311 - the same each time
    begun = time.monotonic()
    async with anyio.create_task_group() as tasks:
        for number in range(int(load.calls_a_minute * load.minutes)):
            await anyio.sleep(max(0.0, begun + 60 * number / load.calls_a_minute - time.monotonic()))
            tasks.start_soon(_one_call, rng.choice(callers), rng.choice(_KINDS), seen)


async def _one_call(caller: _Caller, kind: str, seen: Seen) -> None:
    started = time.monotonic()
    answer = await caller.say(kind, **_arguments(kind, caller.name))
    seen.took_s.append(time.monotonic() - started)
    _judge(caller, kind, answer, seen, is_theirs=_is_theirs(kind, caller.name, answer))


def _judge(caller: _Caller, kind: str, answer: dict[str, Any], seen: Seen, *, is_theirs: bool) -> None:
    seen.calls[kind] += 1
    said = f"{caller.name} {kind}: {json.dumps(answer)[:300]}"
    if "error" in answer or answer.get("outcome") not in {None, "pushed"}:
        seen.failed.append(said)
    elif not is_theirs:
        seen.misled.append(said)


async def _pushing(load: Load, callers: Mapping[_Caller, str], seen: Seen) -> None:
    for _ in range(load.rounds_of_pushes):
        async with anyio.create_task_group() as tasks:
            for caller, url in callers.items():
                tasks.start_soon(_one_push, caller, url, seen)
        await anyio.sleep(60 * load.minutes / (4 * load.rounds_of_pushes))


async def _one_push(caller: _Caller, url: str, seen: Seen) -> None:
    answer = await caller.say("push")
    _judge(caller, "push", answer, seen, is_theirs=url == (answer.get("target") or {}).get("url"))


async def _unaudited(host: Hosted, callers: Iterable[_Caller]) -> list[str]:
    """Say which calls are not in the audit, or more than once."""
    changing = {spec.name for specs in TOOLSETS.values() for spec in specs if spec.effect is not Effect.READS}
    async with open_the_store(host.settings) as store:
        kept = Counter([(whose, event.tool) async for whose, event in store.audit.all(since=None, principal=None)])
    asked = [(caller.name, tool, count) for caller in callers for tool, count in caller.said.items()]
    return [
        f"{name} {tool}: {count} calls, {found} in the audit"
        for name, tool, count in asked
        if tool in changing and count != (found := kept[_principal(name), tool])
    ]


async def _watching(load: Load, processes: Sequence[psutil.Process], seen: Seen) -> None:
    for _ in range(_LOOKS):
        await anyio.sleep(60 * load.minutes / _LOOKS)
        seen.memory.append(sum(process.memory_info().rss for process in processes))


_KINDS = (
    *["get_connection"] * 5,
    *["list_files"] * 4,
    *["read_file"] * 5,
    *["write_files"] * 2,
    "check_files",
    "dev_server",
)


def _arguments(kind: str, name: str) -> dict[str, object]:
    match kind:
        case "read_file":
            return {"path": "convex/mine.ts"}
        case "write_files":
            return {"changes": _files(name)}
        case "check_files":
            return {"types": False}
        case "dev_server":
            return {"action": "status"}
        case _:
            return {}


def _is_theirs(kind: str, name: str, answer: dict[str, Any]) -> bool:
    match kind:
        case "get_connection":
            return [name] == [one["team"]["slug"] for one in answer.get("connections", ())]
        case "read_file":
            return f'"{name} "' in answer.get("content", "")
        case _:
            return True


def _files(name: str) -> list[dict[str, str]]:
    mine = {"convex/mine.ts": f'export const whose = "{name} ";\n'}
    return [{"path": path, "content": content} for path, content in (APP | mine).items()]


def _principal(name: str) -> PrincipalId:
    return PrincipalId(f"tokens-file {name}")
