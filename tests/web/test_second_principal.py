"""A second principal who opens the first one's links, in a real browser: nothing is shown, done or used up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from mcp_convex.convex_api.management import HttpManagementApi
from mcp_convex.domain.connections import PendingPage
from mcp_convex.domain.models import LOCAL_PRINCIPAL, PrincipalId
from mcp_convex.domain.ports import PagePerson, Visit
from mcp_convex.services.connections import ConnectionPorts, ConnectionService
from mcp_convex.services.grants import GrantPorts, GrantService
from mcp_convex.services.pages import PageService
from mcp_convex.store import open_data_dir
from mcp_convex.web.desk import Desk
from mcp_convex.web.serving import LocalPages
from mcp_convex.web.site import Site
from tests.doubles.cloud import fake_cloud
from tests.doubles.convex_deployment import ConvexDeployment
from tests.doubles.office import free_port
from tests.doubles.targets import OWNER, targets_of

pytestmark = pytest.mark.anyio

STRANGER = PrincipalId("stranger")


@dataclass
class SignedIn(PagePerson):
    """Whoever is signed in at the browser, as the hosted shape will know it."""

    principal: PrincipalId = LOCAL_PRINCIPAL

    async def who(self, visit: Visit) -> PrincipalId | None:
        return self.principal


@dataclass
class Counter:
    """Pages over a store, for whoever is signed in; secrets that were typed are remembered."""

    person: SignedIn
    pages: PageService
    connections: ConnectionService
    typed: list[str]

    async def connect(self) -> str:
        return (await self.connections.connecting("team", asked_by="a test").begin()).link

    async def state(self) -> str:
        return (await self.connections.look()).connections[0].state


@pytest.fixture
async def counter(tmp_path) -> AsyncIterator[Counter]:
    person, typed, port = SignedIn(), [], free_port()

    async def set_secret(principal: PrincipalId, page: PendingPage, value: SecretStr) -> None:
        typed.append(value.get_secret_value())

    async with fake_cloud() as cloud, open_data_dir(tmp_path / "data") as store:
        local = LocalPages(port, lambda: Site(desk, origin=local.origin, convex=cloud.url).app())
        pages = PageService(store.pages, local, owner=OWNER)
        management = HttpManagementApi(cloud.url, dashboard_host=cloud.url)
        targets = targets_of(ConvexDeployment(), store.targets)
        granting = GrantPorts(connections=store.connections, flows=store.pages, management=management, oauth=None)
        grants = GrantService(granting, targets, callback_url=local.callback_url)
        connecting = ConnectionPorts(store=store.connections, api=management)
        connections = ConnectionService(connecting, pages, targets, owner=LOCAL_PRINCIPAL)
        desk = Desk(pages=pages, grants=grants, connections=connections, set_secret=set_secret, person=person)
        yield Counter(person, pages, connections, typed)
        await local.aclose()
        await management.close()


async def test_a_link_opens_for_its_own_principal_only(counter, tab):
    link = await counter.connect()
    counter.person.principal = STRANGER
    await tab.open(link)
    assert "This page is gone" == await tab.title()
    assert "Convex account" not in await tab.text()

    counter.person.principal = LOCAL_PRINCIPAL
    await tab.open(link)

    assert "Connect your Convex account?" == await tab.title()


async def test_who_signs_in_as_another_meanwhile_sends_the_form_in_vain(counter, tab):
    link = await counter.connect()
    await tab.open(link)
    counter.person.principal = STRANGER
    await tab.click("Do not connect")
    assert "This page is gone" == await tab.title()
    assert "connecting" == await counter.state()

    counter.person.principal = LOCAL_PRINCIPAL
    await tab.open(link)
    await tab.click("Do not connect")

    assert "failed" == await counter.state()
    outcome = await tab.url()
    counter.person.principal = STRANGER
    await tab.open(outcome)
    assert "This page is gone" == await tab.title()


async def test_a_secret_is_typed_by_its_own_principal_only(counter, tab):
    subject = {"name": "STRIPE_KEY", "why": "To pay.", "deployment": "d", "url": "https://d.convex.cloud"}
    link = await counter.pages.open("env_var", subject)
    await tab.open(link)
    counter.person.principal = STRANGER
    await tab.fill("Value", "c4n4ry")
    await tab.click("Save")
    assert ("This page is gone", []) == (await tab.title(), counter.typed)

    counter.person.principal = LOCAL_PRINCIPAL
    await tab.open(link)
    await tab.fill("Value", "c4n4ry")
    await tab.click("Save")

    assert ("Done", ["c4n4ry"]) == (await tab.title(), counter.typed)
