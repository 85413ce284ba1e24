"""Two principals in one store, whatever each of them does: nothing of one reaches the other."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from mcp_convex.domain.connections import ConnectionId
from mcp_convex.domain.errors import NotConnected, NotFound
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.store import KeyRing, open_store
from mcp_convex.store.database import DatabasePlace
from mcp_convex.store.store import Store
from tests.store.raw import Raw
from tests.store.records import ADA, BOB, NOW, connection, event, flow, new_key, page, push, reach, run, token, verifier

T = TypeVar("T")

PRINCIPALS = st.sampled_from([ADA, BOB])
# Few, and the same for both, so that they meet.
WORKSPACES = st.sampled_from([WorkspaceId("chat"), WorkspaceId("shop")])
IDS = st.just(ConnectionId("first"))
NUMBERS = st.integers(0, 1)


LOOKS_EVERY = 4
"""Steps from one look at everything to the next; there is one at the end, too."""
EXAMPLES, STEPS = 15, 25


Places = Iterator[DatabasePlace]
"""Empty stores, one after another."""


class TwoPrincipals(RuleBasedStateMachine):
    """
    The store against two plain dictionaries, one a principal.

    Every secret is named after whose it is, and no other, so that a wrong one shows.
    """

    def __init__(self, places: Places) -> None:
        super().__init__()
        self.place = next(places)
        self.count = itertools.count()
        self.steps = 0
        self.targets: dict[PrincipalId, dict[WorkspaceId, tuple[str, ConnectionId | None]]] = defaultdict(dict)
        self.tokens: dict[PrincipalId, dict[ConnectionId, str]] = defaultdict(dict)
        self.pushes: dict[PrincipalId, dict[str, str]] = defaultdict(dict)
        self.runs: dict[PrincipalId, dict[WorkspaceId, str]] = defaultdict(dict)
        self.events: dict[PrincipalId, list[str]] = defaultdict(list)
        self.pages: dict[str, PrincipalId] = {}
        self.flows: dict[str, tuple[PrincipalId, ConnectionId, str]] = {}
        self.portal_context = start_blocking_portal()
        self.portal: BlockingPortal = self.portal_context.__enter__()
        self.stack = AsyncExitStack()
        self.store: Store = self.portal.call(self._open)

    async def _open(self) -> Store:
        return await self.stack.enter_async_context(open_store(self.place, KeyRing((new_key(),))))

    def teardown(self) -> None:
        self.portal.call(self.check)
        self.portal.call(self.stack.aclose)
        self.portal_context.__exit__(None, None, None)

    def do(self, method: Callable[..., Awaitable[T]], *args: Any, **named: Any) -> T:
        async def call() -> T:
            return await method(*args, **named)

        return self.portal.call(call)

    def secret(self, principal: PrincipalId) -> str:
        return f"{principal}|secret{next(self.count)}"

    @rule(principal=PRINCIPALS, workspace=WORKSPACES, through=st.none() | IDS)
    def link(self, principal, workspace, through):
        key = self.secret(principal)
        self.do(self.store.targets.put, principal, workspace, reach(key=key), connection=through)
        self.targets[principal][workspace] = key, through

    @rule(principal=PRINCIPALS, workspace=WORKSPACES)
    def unlink(self, principal, workspace):
        was_linked = self.targets[principal].pop(workspace, None) is not None
        assert was_linked == self.do(self.store.targets.delete, principal, workspace)

    @rule(principal=PRINCIPALS, id_=IDS)
    def connect(self, principal, id_):
        text = self.secret(principal)
        self.do(self.store.connections.put_token, principal, connection(id_), token(text))
        self.tokens[principal][id_] = text

    @rule(principal=PRINCIPALS, id_=IDS)
    def disconnect(self, principal, id_):
        through = {name for name, (_, by) in self.targets[principal].items() if by == id_}
        assert tuple(sorted(through)) == self.do(self.store.connections.delete, principal, id_)
        self.tokens[principal].pop(id_, None)
        for workspace in through:
            del self.targets[principal][workspace]
        self.flows = {state: it for state, it in self.flows.items() if it[:2] != (principal, id_)}

    @rule(principal=PRINCIPALS)
    def open_page(self, principal):
        handle = f"handle{next(self.count)}"
        self.do(self.store.pages.add, principal, page(handle))
        self.pages[handle] = principal

    @rule(data=st.data())
    def take_page(self, data):
        handle = data.draw(st.sampled_from(["stranger", *self.pages]))
        whose = self.pages.pop(handle, None)
        try:
            assert whose == self.do(self.store.pages.take, handle)[0]
        except NotFound:
            assert whose is None

    @rule(principal=PRINCIPALS, id_=IDS)
    def leave_for_convex(self, principal, id_):
        state, text = f"state{next(self.count)}", self.secret(principal)
        self.do(self.store.pages.add_flow, principal, flow(state, id_), verifier(text))
        self.flows[state] = principal, id_, text

    @rule(data=st.data())
    def come_back(self, data):
        state = data.draw(st.sampled_from(["stranger", *self.flows]))
        expected = self.flows.pop(state, None)
        try:
            principal, found, value = self.do(self.store.pages.take_flow, state)
            assert expected == (principal, found.connection, value.get_secret_value())
        except NotFound:
            assert expected is None

    @rule(principal=PRINCIPALS, workspace=WORKSPACES, number=NUMBERS)
    def push(self, principal, workspace, number):
        record = push(number, workspace, note=principal)
        self.do(self.store.pushes.add, principal, record)
        self.pushes[principal][record.id] = workspace

    @rule(principal=PRINCIPALS, workspace=WORKSPACES)
    def provision(self, principal, workspace):
        if workspace not in self.runs[principal]:
            self.runs[principal][workspace] = f"run{next(self.count)}"
        started = run().model_copy(
            update={"id": self.runs[principal][workspace], "workspace": workspace, "reference": principal}
        )
        self.do(self.store.provisioning.put, principal, started)

    @rule(principal=PRINCIPALS)
    def audit(self, principal):
        number = next(self.count)
        self.do(self.store.audit.add, principal, event(number, at=NOW))
        self.events[principal].insert(0, f"tool{number}")

    @rule()
    def rotate(self):
        sealed = sum(map(len, [*self.targets.values(), *self.tokens.values(), self.flows]))
        assert sealed == self.do(self.store.rotate)

    @invariant()
    def each_has_what_is_theirs_and_nothing_else(self):
        self.steps += 1
        if self.steps % LOOKS_EVERY == 0:
            self.portal.call(self.check)

    async def check(self) -> None:
        for principal in (ADA, BOB):
            assert self.targets[principal] == await self._targets_of(principal)
            assert self.tokens[principal] == await self._tokens_of(principal)
            assert self.pushes[principal] == await self._pushes_of(principal)
            assert self.runs[principal] == await self._runs_of(principal)
            events = await self.store.audit.latest(principal, limit=1000)
            assert self.events[principal] == [each.tool for each in events]

    async def _targets_of(self, principal):
        found = {name: await self.store.targets.get(principal, name) for name in ("chat", "shop")}
        known = self.targets[principal]
        return {
            name: (it.credential.get_secret_value(), known[name][1] if name in known else None)
            for name, it in found.items()
            if it
        }

    async def _tokens_of(self, principal):
        found = {}
        with suppress(NotConnected):
            found["first"] = (await self.store.connections.token(principal, ConnectionId("first"))).get_secret_value()
        assert found.keys() == {each.id for each in await self.store.connections.list(principal)}
        return found

    async def _pushes_of(self, principal):
        found = {}
        for workspace in ("chat", "shop"):
            async for record in self.store.pushes.latest(principal, WorkspaceId(workspace)):
                assert record.result.diagnostics[0].message == f"no {principal}"
                found[record.id] = workspace
        return found

    async def _runs_of(self, principal):
        found = {}
        for workspace in ("chat", "shop"):
            if started := await self.store.provisioning.open_run(principal, WorkspaceId(workspace), "chat"):
                assert principal == started.reference
                found[workspace] = started.id
        return found


BOUNDS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_nothing_of_one_principal_reaches_another(raw: Raw) -> None:
    run_state_machine_as_test(partial(TwoPrincipals, raw.others()), settings=BOUNDS)
