"""The sync protocol: a web socket over which clients follow queries, and send mutations and actions."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
from anyio.abc import TaskGroup
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from mcp_convex.embedded.access import NOBODY, Access, Caller
from mcp_convex.embedded.calls import Call, Functions
from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.refusals import Refusal
from mcp_convex.embedded.wire import encoded_ts

_PING_S = 15.0
_QUEUED_MUTATIONS = 1000

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """How far a client has come: which set of queries, as whom, at which commit."""

    query_set: int = 0
    identity: int = 0
    ts: int = 0

    def wire(self) -> Message:
        """Return the version as the protocol writes it."""
        return {"querySet": self.query_set, "identity": self.identity, "ts": encoded_ts(self.ts)}


@dataclass(slots=True)
class Subscription:
    """A query that a client follows, and what it was last told about it."""

    query_id: int
    call: Call
    told: Message | None = None
    reads: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    seen: Version = field(default_factory=Version)
    generation: int = -1


@dataclass(frozen=True, slots=True)
class Asked:
    """A mutation or an action, and who was signed in when it was sent."""

    request_id: int
    call: Call
    caller: Caller


class SyncRoutes:
    def __init__(self, deployment: Deployment, access: Access, functions: Functions) -> None:
        self._open: Callable[[WebSocket], Session] = lambda socket: Session(socket, deployment, access, functions)

    def routes(self) -> list[WebSocketRoute]:
        """Return the route of the sync protocol, under any client's version."""
        return [WebSocketRoute("/api/{version}/sync", self.serve)]

    async def serve(self, socket: WebSocket) -> None:
        """Speak with one client until it leaves."""
        await socket.accept()
        await self._open(socket).run()


class Session:
    """One client's connection."""

    def __init__(self, socket: WebSocket, deployment: Deployment, access: Access, functions: Functions) -> None:
        self._socket = socket
        self._deployment = deployment
        self._access = access
        self._functions = functions
        self._sending = anyio.Lock()
        self._told = Version()
        self._wanted = Version()
        self._caller: Caller = NOBODY
        self._subscriptions: dict[int, Subscription] = {}
        self._removed: list[int] = []
        self._awaits = False
        """A mutation's client waits to be told of a time that is not before it."""
        self._wake = anyio.Event()
        self._mutations, self._next_mutation = anyio.create_memory_object_stream[Asked](_QUEUED_MUTATIONS)

    async def run(self) -> None:
        """Serve until the client leaves."""
        with self._mutations, self._next_mutation:
            async with anyio.create_task_group() as tasks:
                for work in (self._follow, self._advance_always, self._mutate_in_order, self._ping):
                    tasks.start_soon(work)
                try:
                    while True:
                        await self._receive(json.loads(await self._socket.receive_text()), tasks)
                except (WebSocketDisconnect, RuntimeError):
                    pass
                except (KeyError, TypeError, ValueError) as exc:
                    await self._send({"type": "FatalError", "error": f"The message is not understood: {exc}"})
                    await self._socket.close(1002)
                tasks.cancel_scope.cancel()

    async def _receive(self, message: Message, tasks: TaskGroup) -> None:
        match message["type"]:
            case "ModifyQuerySet":
                self._modify(message)
            case "Authenticate":
                await self._authenticate(message)
            case "Mutation":
                await self._mutations.send(self._asked("mutation", message))
            case "Action":
                tasks.start_soon(self._act, self._asked("action", message))
            case _:
                pass  # `Connect` and `Event` tell nothing that is needed here.

    def _modify(self, message: Message) -> None:
        for change in message["modifications"]:
            query_id = change["queryId"]
            if change["type"] == "Add":
                self._subscriptions[query_id] = Subscription(query_id, _call("query", change))
            elif self._subscriptions.pop(query_id, None):
                self._removed.append(query_id)
        self._wanted = replace(self._wanted, query_set=message["newVersion"])
        self._wake.set()

    async def _authenticate(self, message: Message) -> None:
        base = message["baseVersion"]
        try:
            self._caller = await self._identified(message)
        except Refusal as refusal:
            error = {"error": refusal.message, "baseVersion": base, "authUpdateAttempted": True}
            await self._send({"type": "AuthError", **error})
            return
        self._wanted = replace(self._wanted, identity=base + 1)
        self._wake.set()

    async def _identified(self, message: Message) -> Caller:
        match message["tokenType"]:
            case "Admin":
                return self._access.admin(message["value"], message.get("impersonating"))
            case "User":
                return await self._access.person(message["value"])
            case _:
                return NOBODY

    def _asked(self, kind: str, message: Message) -> Asked:
        return Asked(message["requestId"], _call(kind, message), self._caller)

    async def _mutate_in_order(self) -> None:
        async for asked in self._next_mutation:
            outcome = await self._run(asked.call, asked.caller)
            response = {"type": "MutationResponse", "requestId": asked.request_id, **_ended(outcome)}
            if "error" in outcome:
                await self._send(response)
                continue
            ts = int(outcome["ts"])
            await self._send({**response, "ts": encoded_ts(ts)})
            # The client holds the result back until it is told of such a time, even where nothing was written yet.
            self._awaits = True
            self._deployment.commits.commit(ts, [])

    async def _act(self, asked: Asked) -> None:
        outcome = await self._run(asked.call, asked.caller)
        await self._send({"type": "ActionResponse", "requestId": asked.request_id, **_ended(outcome)})

    async def _run(self, call: Call, caller: Caller) -> Message:
        try:
            return await self._functions.run(call, caller)
        except Refusal as refusal:
            return {"error": refusal.message, "logLines": []}

    async def _follow(self) -> None:
        while True:
            await self._deployment.commits.signal.wait()
            self._wake.set()

    async def _advance_always(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            await self._advance()

    async def _advance(self) -> None:
        ts = max(self._told.ts, self._deployment.commits.ts)
        end, caller = replace(self._wanted, ts=ts), self._caller
        removed, self._removed = self._removed, []
        awaited, self._awaits = self._awaits, False
        stale = [followed for followed in self._subscriptions.values() if self._is_stale(followed, end)]
        changed: list[Message] = [{"type": "QueryRemoved", "queryId": query_id} for query_id in removed]
        async with anyio.create_task_group() as tasks:
            for followed in stale:
                tasks.start_soon(self._refresh, followed, end, caller, changed)
        if changed or awaited or replace(end, ts=self._told.ts) != self._told:
            start, self._told = self._told, end
            versions = {"startVersion": start.wire(), "endVersion": end.wire()}
            await self._send({"type": "Transition", **versions, "modifications": changed})

    def _is_stale(self, followed: Subscription, now: Version) -> bool:
        return (
            followed.told is None
            or followed.seen.identity != now.identity
            or followed.generation != self._deployment.generation
            or followed.call.path.startswith("_system/")
            or any(self._deployment.commits.tables.get(table, 0) > followed.seen.ts for table in followed.reads)
        )

    async def _refresh(self, followed: Subscription, now: Version, caller: Caller, changed: list[Message]) -> None:
        generation = self._deployment.generation
        outcome = await self._run(followed.call, caller)
        followed.reads = [(component, table) for component, table in outcome.get("reads", [])]
        followed.seen, followed.generation = now, generation
        news = _modification(followed.query_id, outcome)
        if news != followed.told and self._subscriptions.get(followed.query_id) is followed:
            followed.told = news
            changed.append(news)

    async def _ping(self) -> None:
        while True:
            await anyio.sleep(_PING_S)
            await self._send({"type": "Ping"})

    async def _send(self, message: Message) -> None:
        async with self._sending:
            # A client that has just left is noticed where its messages are received.
            with suppress(WebSocketDisconnect, RuntimeError):
                await self._socket.send_text(json.dumps(message, separators=(",", ":")))


def _call(kind: str, message: Message) -> Call:
    return Call(kind, message["udfPath"], message["args"], message.get("componentPath") or "", "SyncWorker")


def _ended(outcome: Message) -> Message:
    if "error" in outcome:
        failed = {"success": False, "result": outcome["error"], "logLines": outcome["logLines"]}
        return failed | ({"errorData": outcome["data"]} if "data" in outcome else {})
    return {"success": True, "result": outcome["value"], "logLines": outcome["logLines"]}


def _modification(query_id: int, outcome: Message) -> Message:
    told = {"queryId": query_id, "logLines": outcome["logLines"], "journal": None}
    if "error" not in outcome:
        return {"type": "QueryUpdated", "value": outcome["value"], **told}
    failed = {"type": "QueryFailed", "errorMessage": outcome["error"], **told}
    return failed | ({"errorData": outcome["data"]} if "data" in outcome else {})
