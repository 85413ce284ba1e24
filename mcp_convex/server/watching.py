"""What is watched of a hosted server, and who may see it."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from mcp_convex.boundary.health import Watched
from mcp_convex.boundary.listening import is_loopback
from mcp_convex.domain.ports.meter import Meter, NoMeter
from mcp_convex.limits import CallBounds, Calls
from mcp_convex.server.adapters import Shared
from mcp_convex.server.households import Households
from mcp_convex.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What stands around every call of a hosted server."""

    calls: Calls
    meter: Meter
    watched: Watched


@asynccontextmanager
async def watching(settings: Settings, shared: Shared, households: Households) -> AsyncGenerator[Watch]:
    """Count what happens for the block, where the operator may see it."""
    bounds = CallBounds(
        a_minute=settings.principal_calls_per_minute,
        burst=settings.principal_calls_per_minute,
        at_once=settings.principal_calls,
    )
    calls = Calls(bounds)
    if not shows_metrics(settings):
        yield Watch(calls=calls, meter=NoMeter(), watched=Watched(check=shared.store.check))
        return
    from mcp_convex.telemetry.metrics import CountedPushes, Metrics  # noqa: PLC0415 - who shows none needs none

    pushes = shared.pushes.turns
    metrics = Metrics(
        {
            "calls_under_way": ("Calls that have begun.", lambda: calls.turns.under_way),
            "calls_waiting": ("Calls that wait for others of the same principal.", lambda: calls.turns.waiting),
            "pushes_under_way": ("Runs of the CLI that have begun.", lambda: pushes.under_way),
            "pushes_waiting": ("Runs of the CLI that wait for their turn.", lambda: pushes.waiting),
            "open_workspaces": (f"Workspaces that are open, by sandbox `{settings.sandbox}`.", lambda: households.open),
        }
    )
    shared.store.pushes = CountedPushes(shared.store.pushes, metrics)
    lagging = asyncio.create_task(metrics.watch_loop())
    try:
        watched = Watched(check=shared.store.check, metrics=metrics.exposition)
        yield Watch(calls=calls, meter=metrics, watched=watched)
    finally:
        lagging.cancel()
        with suppress(asyncio.CancelledError):
            await lagging


def shows_metrics(settings: Settings) -> bool:
    """Say whether whoever reaches the port may see the metrics."""
    if settings.metrics != "auto":
        return settings.metrics == "on"
    if settings.public_url is not None:  # a proxy on this machine passes everything on
        return False
    try:
        address = ipaddress.ip_address(settings.listen_host)
    except ValueError:
        return is_loopback(settings.listen_host)
    return address.is_private and not address.is_unspecified
