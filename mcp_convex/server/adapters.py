"""Opens the adapters. Imported at the first need: HTTP, SQL and servers are slow to import, and a start needs none."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio.to_thread
from pydantic import SecretStr

from mcp_convex.broker import LocalGate, Tuning
from mcp_convex.checks import OfflineChecks
from mcp_convex.convex_api.cli_login import CliLoginFile
from mcp_convex.convex_api.deployment import HttpDeploymentApi
from mcp_convex.convex_api.management import HttpManagementApi
from mcp_convex.convex_api.oauth import HttpOAuthApi, OAuthApplication
from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.domain.ports import (
    Announcements,
    CliLogin,
    ConnectionStore,
    DeploymentApi,
    EmbeddedDeployments,
    Gate,
    ManagementApi,
    OAuthApi,
    Sandbox,
    SourceChecks,
    TargetStore,
)
from mcp_convex.domain.ports.turns import Turn, at_once
from mcp_convex.embedded import LocalEmbeddedDeployments
from mcp_convex.limits import Pushes
from mcp_convex.sandboxes import (
    ConfinedLauncher,
    LocalSandbox,
    has_memory_to_spare,
    hide_memory,
    npm_environment,
)
from mcp_convex.server.e2b import e2b_account
from mcp_convex.server.place import Place, find_asset
from mcp_convex.server.walls import admitted
from mcp_convex.services.announced import AnnouncedConnections, AnnouncedTargets
from mcp_convex.settings import Settings
from mcp_convex.store import open_data_dir
from mcp_convex.store.store import Store

if TYPE_CHECKING:
    from mcp_convex.sandboxes.e2b.account import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all workspaces of one server share, open."""

    store: Store
    api: DeploymentApi
    management: ManagementApi
    oauth: OAuthApi | None
    gate: LocalGate
    launcher: ConfinedLauncher
    e2b: Account | None
    """The account in which sandboxes are; None where they are directories."""
    pushes: Pushes


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """One adapter a port, open."""

    store: Store
    connections: ConnectionStore
    targets: TargetStore
    embedded: EmbeddedDeployments
    api: DeploymentApi
    management: ManagementApi
    oauth: OAuthApi | None
    cli_login: CliLogin | None
    gate: Gate
    sandbox: Sandbox
    checks: SourceChecks
    turn: Turn
    """Of a push."""
    announcements: Announcements


@asynccontextmanager
async def opened_shared(settings: Settings, tuning: Tuning | None, *, niceness: int = 0) -> AsyncGenerator[Shared]:
    """
    Open what no workspace has for itself, and close it on the way out.

    Args:
        niceness: By how much what is run for workspaces yields to this server's own work.

    Raises:
        StoreCorrupt: The store cannot be read.
        DirectoryUnusable: The data directory cannot be used.
        SettingsInvalid: There is no key for the account at E2B that sandboxes are to be in.
        ToolMissing: E2B's SDK is not installed.
    """
    hide_memory()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_the_store(settings))
        api = HttpDeploymentApi()
        stack.push_async_callback(api.close)
        management = HttpManagementApi(settings.provision_host, dashboard_host=settings.dashboard_host)
        stack.push_async_callback(management.close)
        gate = LocalGate(tuning, memory=settings.data_dir / "live", may_wait=has_memory_to_spare)
        stack.push_async_callback(gate.aclose)
        yield Shared(
            store=store,
            api=api,
            management=management,
            oauth=_oauth(settings, stack),
            gate=gate,
            launcher=ConfinedLauncher(settings.isolation, niceness=niceness),
            e2b=await anyio.to_thread.run_sync(e2b_account, settings) if settings.sandbox == "e2b" else None,
            pushes=Pushes(at_once=settings.pushes, each=settings.principal_pushes),
        )


@asynccontextmanager
async def opened_adapters(
    settings: Settings, place: Place, shared: Shared, announcements: Announcements
) -> AsyncGenerator[Adapters]:
    """Open what the workspace at *place* has for itself, beside what is *shared*, and close that on the way out."""
    async with embedded_deployments(settings, place, shared.launcher) as embedded:
        sandbox = await _sandbox(place, shared)
        try:
            yield Adapters(
                store=shared.store,
                connections=AnnouncedConnections(shared.store.connections, announcements),
                targets=AnnouncedTargets(shared.store.targets, announcements),
                embedded=admitted(embedded, settings, shared.launcher) if place.served else embedded,
                api=shared.api,
                management=shared.management,
                oauth=shared.oauth,
                cli_login=None if place.served else _cli_login(settings),
                gate=shared.gate,
                sandbox=sandbox,
                checks=OfflineChecks(),
                turn=partial(shared.pushes.begin, place.principal) if place.served else at_once,
                announcements=announcements,
            )
        finally:
            await sandbox.close()


def open_the_store(settings: Settings) -> AbstractAsyncContextManager[Store]:
    """Return the store that *settings* name, not yet open."""
    return open_data_dir(
        settings.data_dir,
        settings.encryption_keys,
        url=settings.database_url,
        connections=settings.database_connections,
    )


def embedded_deployments(settings: Settings, place: Place, launcher: ConfinedLauncher) -> LocalEmbeddedDeployments:
    """Return the embedded deployments of this machine, not yet open. Needs a running event loop."""
    port = None if place.served else settings.embedded_port  # of many workspaces, one could have it
    return LocalEmbeddedDeployments(settings.data_dir, launcher, node_modules=place.node_modules, port=port)


async def _sandbox(place: Place, shared: Shared) -> Sandbox:
    if shared.e2b is not None:
        from mcp_convex.sandboxes.e2b.sandbox import E2BSandbox  # noqa: PLC0415 - an extra

        return E2BSandbox(shared.e2b, shared.store.journal, find_asset("sandbox_template"), owner=place.owner)
    socket = await shared.gate.socket_path() if shared.launcher.mode == "strict" else None
    return LocalSandbox(
        place.root,
        place.state,
        shared.launcher,
        find_asset("sandbox_template"),
        gate_socket=None if socket is None else lambda: socket,
        npm_env=npm_environment(os.environ),
    )


def _oauth(settings: Settings, stack: AsyncExitStack) -> OAuthApi | None:
    """Return Convex's OAuth endpoints for the operator's application; None where there is none."""
    match settings.convex_oauth_client_id, settings.convex_oauth_client_secret:
        case None, None:
            return None
        case str() as client_id, SecretStr() as secret:
            api = HttpOAuthApi(
                OAuthApplication(
                    client_id=client_id,
                    client_secret=secret,
                    dashboard_host=settings.dashboard_host,
                    provision_host=settings.provision_host,
                )
            )
            stack.push_async_callback(api.close)
            return api
        case _:
            raise SettingsInvalid(
                "An OAuth application has an id and a secret, and only one of them is set.",
                next_step="Set CONVEX_OAUTH_CLIENT_ID and CONVEX_OAUTH_CLIENT_SECRET, or neither.",
            )


def _cli_login(settings: Settings) -> CliLogin | None:
    """Return the login that Convex's CLI keeps for the host that it would go to; None where it keeps none for that."""
    if settings.provision_host == Settings.model_fields["provision_host"].default:
        return CliLoginFile(Path.home() / ".convex")
    port = urlsplit(settings.provision_host).port
    return CliLoginFile(Path.home() / f".convex-test-{port}") if port else None
