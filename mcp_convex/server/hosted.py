"""The hosted shape: one server over every principal's workspaces, reached over HTTP."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import anyio.to_thread
from mcp.server.request_state import RequestStateSecurity
from starlette.requests import Request
from starlette.types import ASGIApp

from mcp_convex.boundary import ConvexServer, Replicated
from mcp_convex.boundary.api import HttpApi
from mcp_convex.boundary.hosting import Hosting, Narrowed, Serving
from mcp_convex.boundary.http import PATH, Access, Beside, HttpFront, caller, is_stream
from mcp_convex.boundary.listening import Patience, bound, host_in_url, serve_http
from mcp_convex.boundary.narrowing import Narrowing
from mcp_convex.boundary.replicas import RelayedBus
from mcp_convex.boundary.subscriptions import Announcing
from mcp_convex.domain.identity import SignIn
from mcp_convex.domain.models import PrincipalId
from mcp_convex.http_api import OPERATIONS
from mcp_convex.http_api.openapi import openapi
from mcp_convex.panel.page import OpenDoor, panel_routes
from mcp_convex.server import assembled
from mcp_convex.server.access import opened_access
from mcp_convex.server.adapters import opened_adapters, opened_shared
from mcp_convex.server.desks import HostedDesks, make_pages, make_seal
from mcp_convex.server.households import Households, Room, opened_households
from mcp_convex.server.place import make_place
from mcp_convex.server.reopening import reopened
from mcp_convex.server.walls import check_walls
from mcp_convex.server.watching import Watch, watching
from mcp_convex.server.wiring import wired
from mcp_convex.services import Services
from mcp_convex.settings import Settings
from mcp_convex.tools import TOOLSETS, offered
from mcp_convex.web.desk import Desks
from mcp_convex.web.seals import Seal
from mcp_convex.web.sessions import Sessions
from mcp_convex.web.signed_in import SignedInSite

if TYPE_CHECKING:
    from mcp_convex.broker import Tuning

_NICENESS = 5
"""A third of a share. On two processors that had other work too, calls beside eight pushes took 16 ms and not 1.1 s."""


async def serve(
    settings: Settings,
    stopping: asyncio.Event,
    on_ready: Callable[[str], None],
    *,
    tuning: Tuning | None = None,
) -> None:
    """
    Serve until *stopping* is set, and tell *on_ready* the URL once requests are answered.

    Raises:
        SettingsInvalid: The settings would let strangers in, or do not fit together.
        IsolationUnavailable: Principals' commands could not be kept apart on this machine.
        PortInUse: The port is taken.
    """
    check_walls(settings)
    bus = RelayedBus()
    async with opened_hosting(settings, bus, tuning) as hosting:
        replicated = Replicated(bus=bus, request_state=_request_state(settings))
        server = assembled(settings, lambda: nullcontext(hosting), replicated)
        await anyio.to_thread.run_sync(_load, server)
        # What is loaded stays: a full collection would look at all of it, and every call would wait for a tenth of a s.
        gc.freeze()
        await listen(server, hosting, stopping, on_ready)


async def listen(
    server: ConvexServer, hosting: Hosted, stopping: asyncio.Event, on_ready: Callable[[str], None]
) -> None:
    """Let those call *server*, and open the pages, whom the settings admit, as `serve` says."""
    settings = hosting.settings
    async with opened_access(settings) as access:
        sessions = hosting.sessions(access.sign_in)
        beside = Beside(
            pages=None if sessions is None else hosting.pages(sessions),
            panel=panel_routes(OpenDoor() if access.check is None else sessions),
            api=hosting.api(access).app,
            watched=hosting.watch.watched,
        )
        front = HttpFront(server, access, tuple(TOOLSETS), beside)
        sock = bound(settings.listen_host, settings.listen_port)
        url = f"http://{host_in_url(settings.listen_host)}:{sock.getsockname()[1]}{PATH}"
        await serve_http(front, sock, lambda: on_ready(url), stopping, Patience(drain_s=settings.drain_s))


class Hosted(Hosting):
    """The workspaces of all principals."""

    def __init__(self, households: Households, desks: Desks, seal: Seal, settings: Settings, watch: Watch) -> None:
        self._households = households
        self._desks = desks
        self._seal = seal
        self.settings = settings
        self.watch = watch

    def sessions(self, sign_in: SignIn | None) -> Sessions | None:
        """Return what tells whose browser it is; None where nothing can."""
        origin = self.settings.pages_origin
        return None if origin is None else Sessions(sign_in, self._seal, origin=origin)

    def pages(self, sessions: Sessions) -> ASGIApp:
        """Return the pages of all principals."""
        origin, convex = self.settings.pages_origin or "", self.settings.dashboard_host
        return SignedInSite(sessions, self._desks, self._seal, origin=origin, convex=convex).app()

    def api(self, access: Access) -> HttpApi:
        """Return the HTTP API, for whom *access* admits."""
        offers = offered(self.settings.toolsets, read_only=self.settings.read_only)
        return HttpApi(
            operations=OPERATIONS,
            document=partial(openapi, tuple(TOOLSETS)),
            hosting=self,
            access=access,
            tools=frozenset(spec.name for spec in offers),
            vouching=frozenset(self.settings.vouching_clients),
            deadline_s=self.settings.call_deadline_s,
        )

    @asynccontextmanager
    async def serving(self, request: Request | None) -> AsyncGenerator[Serving]:
        if request is None:
            raise RuntimeError("a call came that no request carried")
        principal, narrowing = caller(request)
        async with AsyncExitStack() as stack:
            services = await stack.enter_async_context(self._households.of(principal, narrowing.workspace))
            if is_stream(request):  # needs no services, and may not keep them open
                await stack.aclose()
            yield Serving(
                services,
                self._narrowed(narrowing),
                whose=(principal, narrowing.workspace),
                turn=partial(self.watch.calls.begin, principal, is_stream=is_stream(request)),
                meter=self.watch.meter,
            )

    def _narrowed(self, narrowing: Narrowing) -> Narrowed | None:
        if narrowing.toolsets is None and not narrowing.read_only:
            return None
        own = frozenset(self.settings.toolsets)
        toolsets = own if narrowing.toolsets is None else own & narrowing.toolsets
        tools = offered(toolsets, read_only=narrowing.read_only or self.settings.read_only)
        return Narrowed(toolsets, frozenset(spec.name for spec in tools))


@asynccontextmanager
async def opened_hosting(settings: Settings, bus: RelayedBus, tuning: Tuning | None = None) -> AsyncGenerator[Hosted]:
    """Host the workspaces of all principals, which tell *bus* what has changed, and close them on the way out."""
    async with opened_shared(settings, tuning, niceness=_NICENESS) as shared, bus.joined(shared.store.relay):
        seal = make_seal(settings)
        pages = make_pages(settings, seal)

        @asynccontextmanager
        async def open_for(principal: PrincipalId, name: str) -> AsyncGenerator[Services]:
            place = make_place(settings, principal, name)
            async with (
                opened_adapters(settings, place, shared, Announcing(bus, (principal, name))) as adapters,
                wired(settings, place, adapters, pages) as services,
            ):
                await services.dev_servers.resume(lambda: households.keep(principal, name))
                yield services

        room = Room(each=settings.principal_open_workspaces, all=settings.open_workspaces)
        async with (
            opened_households(open_for, idle_s=settings.workspace_idle_s, room=room) as households,
            reopened(households, shared.store.dev_servers),
            watching(settings, shared, households) as watch,
        ):
            yield Hosted(households, HostedDesks(households, shared.store), seal, settings, watch)


def _load(server: ConvexServer) -> None:
    """Import and make what the first call and the first push would otherwise, while others wait."""
    server.load()
    import_module("mcp_convex.broker.opening")
    import_module("mcp_convex.embedded.serving")


def _request_state(settings: Settings) -> RequestStateSecurity | None:
    """Return the keys that seal what clients carry from one round to the next; None for one of this process alone."""
    keys = settings.derived_keys(b"request state")
    return RequestStateSecurity(keys=keys) if keys else None
