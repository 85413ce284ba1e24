"""Metrics in Prometheus's words. No label names a principal, and each has few values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.ports import PushStore
from mcp_convex.domain.ports.meter import Meter
from mcp_convex.domain.pushes import PushRecord, PushResult
from mcp_convex.domain.snapshots import NewSnapshot

_CALL_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_PUSH_BUCKETS_S = (0.5, 1, 2, 3, 5, 8, 12, 20, 30, 60, 120, 300)
_LAG_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LAG_EVERY_S = 0.5


class Metrics(Meter):
    """Counts calls and pushes, and shows what *gauges* tell, by name: what it is, and how much of it there is."""

    def __init__(self, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # half of all lines, of which nobody asks anything
        self._registry = registry = CollectorRegistry()
        self._calls = Counter(
            "mcp_convex_tool_calls", "Calls of tools, by what came of them.", ["tool", "outcome"], registry=registry
        )
        self._call_s = Histogram(
            "mcp_convex_tool_call_seconds",
            "How long calls of tools took.",
            ["tool"],
            buckets=_CALL_BUCKETS_S,
            registry=registry,
        )
        self._pushes = Counter(
            "mcp_convex_pushes", "Pushes, by what came of them.", ["outcome", "failure"], registry=registry
        )
        self._push_s = Histogram(
            "mcp_convex_push_seconds", "How long pushes took.", buckets=_PUSH_BUCKETS_S, registry=registry
        )
        self._lag_s = Histogram(
            "mcp_convex_event_loop_lag_seconds",
            "By how much the event loop was late.",
            buckets=_LAG_BUCKETS_S,
            registry=registry,
        )
        for name, (meaning, now) in gauges.items():
            Gauge(f"mcp_convex_{name}", meaning, registry=registry).set_function(now)

    def called(self, tool: str, outcome: str, duration_s: float) -> None:
        self._calls.labels(tool, outcome).inc()
        self._call_s.labels(tool).observe(duration_s)

    def pushed(self, result: PushResult) -> None:
        self._pushes.labels(result.outcome, result.failure or "none").inc()
        self._push_s.observe(result.duration_s)

    def exposition(self) -> bytes:
        """Return all of them, in Prometheus's text format."""
        return generate_latest(self._registry)

    async def watch_loop(self) -> None:
        """Measure, for as long as this runs, by how much the event loop is late."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self._lag_s.observe(max(0.0, loop.time() - due))


class CountedPushes(PushStore):
    """The pushes of *store*, each counted as it is kept: whoever began it, it comes by here once."""

    def __init__(self, store: PushStore, meter: Meter) -> None:
        self._store = store
        self._meter = meter

    async def add(self, principal: PrincipalId, record: PushRecord, new: NewSnapshot | None = None) -> None:
        self._meter.pushed(record.result)
        await self._store.add(principal, record, new)

    async def get(self, principal: PrincipalId, push_id: str) -> PushRecord:
        return await self._store.get(principal, push_id)

    def latest(self, principal: PrincipalId, workspace: WorkspaceId) -> AsyncIterator[PushRecord]:
        return self._store.latest(principal, workspace)
