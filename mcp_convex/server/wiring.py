"""Builds the services, and the pages that share them, from open adapters."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from mcp_convex.domain.ports import PagePerson, Pages
from mcp_convex.server.adapters import Adapters
from mcp_convex.server.place import Place, find_asset
from mcp_convex.services import Services
from mcp_convex.services.audit import AuditService
from mcp_convex.services.auth_keys import AuthKeyService
from mcp_convex.services.change_checks import ChangeChecks
from mcp_convex.services.cli_runs import CliPorts, CliRuns
from mcp_convex.services.connections import ConnectionPorts, ConnectionService
from mcp_convex.services.cursors import Cursors
from mcp_convex.services.data import DataService
from mcp_convex.services.dev_servers import DevServerService
from mcp_convex.services.dev_work import DevServerParts, DevServerPorts
from mcp_convex.services.docs import DocService
from mcp_convex.services.env_known import KnownEnvVars
from mcp_convex.services.env_vars import EnvVarPorts, EnvVarService
from mcp_convex.services.files import FileService
from mcp_convex.services.functions import FunctionService
from mcp_convex.services.grants import GrantPorts, GrantService
from mcp_convex.services.logs import LogService
from mcp_convex.services.overview import OverviewService
from mcp_convex.services.pages import PageService
from mcp_convex.services.projects import ProjectService
from mcp_convex.services.provisioning import ProvisioningBounds, ProvisioningPorts
from mcp_convex.services.pushes import PushParts, PushPorts, PushService
from mcp_convex.services.snapshots import SnapshotPorts, SnapshotService
from mcp_convex.services.source_checks import SourceCheckPorts, SourceCheckService
from mcp_convex.services.targets import TargetPorts, TargetService
from mcp_convex.services.templates import TemplateService
from mcp_convex.settings import Settings
from mcp_convex.store.passages import FtsPassageIndex
from mcp_convex.web.desk import Desk
from mcp_convex.web.serving import LocalPages
from mcp_convex.web.this_account import ThisAccount


@asynccontextmanager
async def wired(
    settings: Settings, place: Place, adapters: Adapters, hosted: Pages | None = None
) -> AsyncGenerator[Services]:
    """
    Build the services.

    Args:
        hosted: The pages of a server that has its own; else they are on this machine, from the first link on until the
            block ends.
    """
    ports = TargetPorts(store=adapters.targets, embedded=adapters.embedded, api=adapters.api)
    targets = TargetService(ports, settings.policy, owner=place.owner)

    def site() -> ASGIApp:
        from mcp_convex.web.site import Site  # noqa: PLC0415 - most servers never show a page

        return Site(desk, origin=local_pages.origin, convex=settings.dashboard_host).app()

    local_pages = LocalPages(settings.pages_port, site)
    shown = hosted or local_pages
    pages = PageService(adapters.store.pages, shown, owner=place.owner)
    grants = GrantService(_grant_ports(adapters), targets, callback_url=shown.callback_url)
    services = _services(settings, place, adapters, targets, (pages, grants))
    desk = desk_of(services, ThisAccount())
    try:
        yield services
    finally:
        await services.dev_servers.aclose()
        await services.pushes.aclose()
        await local_pages.aclose()


def _services(
    settings: Settings,
    place: Place,
    adapters: Adapters,
    targets: TargetService,
    asking: tuple[PageService, GrantService],
) -> Services:
    pages, grants = asking
    api, sandbox, store = adapters.api, adapters.sandbox, adapters.store
    policy, owner = settings.policy, place.owner
    pushing = PushPorts(
        sandbox=sandbox,
        api=api,
        pushes=store.pushes,
        announcements=adapters.announcements,
        dev_servers=store.dev_servers,
    )
    making = ProvisioningBounds(lease_s=settings.push_lease_s)
    connecting = ConnectionPorts(store=adapters.connections, api=adapters.management)
    provisioning = ProvisioningPorts(
        api=adapters.management,
        connections=adapters.connections,
        runs=store.provisioning,
        leases=store.leases,
        sandbox=sandbox,
    )

    def on_written() -> None:
        cli.arm()
        dev_servers.wrote()

    snapshots = SnapshotService(
        SnapshotPorts(sandbox=sandbox, store=store.snapshots, api=api, on_written=on_written),
        targets,
        policy,
        owner=owner,
    )
    cli_ports = CliPorts(
        sandbox=sandbox, gate=adapters.gate, leases=store.leases, turn=adapters.turn, checks=adapters.checks
    )
    cli = CliRuns(cli_ports, snapshots, workspace=owner[1], lease_s=settings.push_lease_s, armed=settings.armed_pushes)
    known = KnownEnvVars(targets)
    files = FileService(sandbox, ChangeChecks(adapters.checks, sandbox, known), policy, on_written=on_written)
    parts = PushParts(cli=cli, targets=targets, snapshots=snapshots)
    templates = TemplateService(find_asset("resources/templates"), files)
    pushes = PushService(pushing, parts, policy, owner=owner, deadline_s=settings.push_deadline_s)
    dev_ports = DevServerPorts(
        sandbox=sandbox,
        api=api,
        store=store.dev_servers,
        leases=store.leases,
        announcements=adapters.announcements,
    )
    audit = AuditService(store.audit, targets, owner=owner[0])
    dev_parts = DevServerParts(pushes=pushes, snapshots=snapshots, targets=targets, audit=audit)
    dev_servers = DevServerService(dev_ports, dev_parts, policy, owner=owner)
    connections = ConnectionService(connecting, pages, targets, owner=owner[0])
    checking = SourceCheckPorts(checks=adapters.checks, sandbox=sandbox, api=api, known=known)
    return Services(
        files=files,
        source_checks=SourceCheckService(checking, pushes, targets),
        templates=templates,
        docs=DocService(find_asset("resources/guidelines"), templates, FtsPassageIndex),
        pushes=pushes,
        dev_servers=dev_servers,
        snapshots=snapshots,
        functions=FunctionService(api, targets, policy),
        data=DataService(api, targets, Cursors(store.cursors, owner=owner)),
        logs=LogService(api, targets),
        targets=targets,
        connections=connections,
        grants=grants,
        pages=pages,
        projects=ProjectService(provisioning, targets, policy, owner=owner, bounds=making),
        env_vars=EnvVarService(EnvVarPorts(api=api, sandbox=sandbox, known=known), targets, pages, policy, owner=owner),
        auth_keys=AuthKeyService(api, targets, policy),
        audit=audit,
        overview=OverviewService(connections=connections, dev_servers=dev_servers, pushes=pushes),
    )


def desk_of(services: Services, person: PagePerson) -> Desk:
    """Return what pages over *services* work with, where *person* tells whose browser it is."""
    return Desk(
        pages=services.pages,
        grants=services.grants,
        connections=services.connections,
        set_secret=services.env_vars.set_secret,
        person=person,
    )


def _grant_ports(adapters: Adapters) -> GrantPorts:
    return GrantPorts(
        connections=adapters.connections,
        flows=adapters.store.pages,
        management=adapters.management,
        oauth=adapters.oauth,
        cli_login=adapters.cli_login,
    )
