"""Builds the services, and the pages that share them, from open adapters."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.types import ASGIApp

from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.policy import Policy
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
    given = _Given(settings, place, adapters, targets, KnownEnvVars(targets))
    services = _services(given, pages, grants)
    desk = desk_of(services, ThisAccount())
    try:
        yield services
    finally:
        await services.dev_servers.aclose()
        await services.pushes.aclose()
        await local_pages.aclose()


@dataclass(frozen=True, slots=True)
class _Given:
    """What every service is built from."""

    settings: Settings
    place: Place
    adapters: Adapters
    targets: TargetService
    known: KnownEnvVars

    @property
    def policy(self) -> Policy:
        return self.settings.policy

    @property
    def owner(self) -> tuple[PrincipalId, WorkspaceId]:
        return self.place.owner


@dataclass(frozen=True, slots=True)
class _Sources:
    """The services that write a workspace's sources and push them."""

    files: FileService
    snapshots: SnapshotService
    pushes: PushService
    audit: AuditService
    dev_servers: DevServerService


def _services(given: _Given, pages: PageService, grants: GrantService) -> Services:
    adapters, targets, policy, owner = given.adapters, given.targets, given.policy, given.owner
    api, sandbox, store, known = adapters.api, adapters.sandbox, adapters.store, given.known
    sources = _sources(given)
    templates = TemplateService(find_asset("resources/templates"), sources.files)
    connecting = ConnectionPorts(store=adapters.connections, api=adapters.management)
    connections = ConnectionService(connecting, pages, targets, owner=owner[0])
    checking = SourceCheckPorts(checks=adapters.checks, sandbox=sandbox, api=api, known=known)
    return Services(
        files=sources.files,
        source_checks=SourceCheckService(checking, sources.pushes, targets),
        templates=templates,
        docs=DocService(find_asset("resources/guidelines"), templates, FtsPassageIndex),
        pushes=sources.pushes,
        dev_servers=sources.dev_servers,
        snapshots=sources.snapshots,
        functions=FunctionService(api, targets, policy),
        data=DataService(api, targets, Cursors(store.cursors, owner=owner)),
        logs=LogService(api, targets),
        targets=targets,
        connections=connections,
        grants=grants,
        pages=pages,
        projects=_projects(given),
        env_vars=EnvVarService(EnvVarPorts(api=api, sandbox=sandbox, known=known), targets, pages, owner=owner),
        auth_keys=AuthKeyService(api, targets),
        audit=sources.audit,
        overview=OverviewService(connections=connections, dev_servers=sources.dev_servers, pushes=sources.pushes),
    )


def _sources(given: _Given) -> _Sources:
    adapters, policy, owner = given.adapters, given.policy, given.owner
    sandbox, store = adapters.sandbox, adapters.store

    def on_written() -> None:
        cli.arm()
        dev_servers.wrote()

    kept = SnapshotPorts(sandbox=sandbox, store=store.snapshots, api=adapters.api, on_written=on_written)
    snapshots = SnapshotService(kept, given.targets, policy, owner=owner)
    cli = _cli(given, snapshots)
    pushes = _pushes(given, PushParts(cli=cli, targets=given.targets, snapshots=snapshots))
    audit = AuditService(store.audit, given.targets, owner=owner[0])
    parts = DevServerParts(pushes=pushes, snapshots=snapshots, targets=given.targets, audit=audit)
    dev_servers = _dev_servers(given, parts)
    checks = ChangeChecks(adapters.checks, sandbox, given.known)
    return _Sources(
        files=FileService(sandbox, checks, policy, on_written=on_written),
        snapshots=snapshots,
        pushes=pushes,
        audit=audit,
        dev_servers=dev_servers,
    )


def _cli(given: _Given, snapshots: SnapshotService) -> CliRuns:
    adapters, settings = given.adapters, given.settings
    ports = CliPorts(
        sandbox=adapters.sandbox,
        gate=adapters.gate,
        leases=adapters.store.leases,
        turn=adapters.turn,
        checks=adapters.checks,
    )
    return CliRuns(
        ports,
        snapshots,
        workspace=given.owner[1],
        lease_s=settings.push_lease_s,
        armed=settings.armed_pushes,
    )


def _pushes(given: _Given, parts: PushParts) -> PushService:
    adapters = given.adapters
    ports = PushPorts(
        sandbox=adapters.sandbox,
        api=adapters.api,
        pushes=adapters.store.pushes,
        announcements=adapters.announcements,
        dev_servers=adapters.store.dev_servers,
    )
    return PushService(ports, parts, given.policy, owner=given.owner, deadline_s=given.settings.push_deadline_s)


def _dev_servers(given: _Given, parts: DevServerParts) -> DevServerService:
    adapters = given.adapters
    ports = DevServerPorts(
        sandbox=adapters.sandbox,
        api=adapters.api,
        store=adapters.store.dev_servers,
        leases=adapters.store.leases,
        announcements=adapters.announcements,
    )
    return DevServerService(ports, parts, given.policy, owner=given.owner)


def _projects(given: _Given) -> ProjectService:
    adapters = given.adapters
    ports = ProvisioningPorts(
        api=adapters.management,
        connections=adapters.connections,
        runs=adapters.store.provisioning,
        leases=adapters.store.leases,
        sandbox=adapters.sandbox,
    )
    bounds = ProvisioningBounds(lease_s=given.settings.push_lease_s)
    return ProjectService(ports, given.targets, given.policy, owner=given.owner, bounds=bounds)


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
