"""Connections over time, and the ways to connect that need no OAuth application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from mcp_convex.convex_api.cli_login import CliLoginFile
from mcp_convex.convex_api.management import HttpManagementApi
from mcp_convex.convex_api.oauth import HttpOAuthApi, OAuthApplication
from mcp_convex.domain import errors
from mcp_convex.domain.connections import PendingPage
from mcp_convex.domain.models import LOCAL_PRINCIPAL, PrincipalId
from mcp_convex.domain.ports import Pages
from mcp_convex.services.connections import ConnectionPorts, ConnectionService
from mcp_convex.services.grants import GrantPorts, GrantService
from mcp_convex.services.pages import PageService, utc_now
from mcp_convex.store import open_data_dir
from mcp_convex.store.store import Store
from tests.doubles.cloud import FakeCloud, approve, fake_cloud
from tests.doubles.convex_deployment import ConvexDeployment, reach_of
from tests.doubles.deployment import Says
from tests.doubles.targets import OWNER, targets_of

pytestmark = pytest.mark.anyio

CALLBACK = "http://localhost:8976/convex/callback"
STRANGER = PrincipalId("stranger")


class Links(Pages):
    """Pages that nobody serves."""

    async def link(self, page: PendingPage) -> str:
        return f"http://localhost:8976/convex/pages/{page.handle}"

    @property
    def callback_url(self) -> str:
        return CALLBACK


@dataclass
class Clock:
    ahead: timedelta = timedelta(0)

    def __call__(self):
        return utc_now() + self.ahead


@dataclass
class Desk:
    cloud: FakeCloud
    store: Store
    clock: Clock
    home: Path
    pages: PageService
    connections: ConnectionService
    grants: GrantService
    plain_grants: GrantService
    """Without an OAuth application."""

    async def page(self, scope="team"):
        """Ask to connect, and return the page that was opened for it."""
        opened = await self.connections.connecting(scope, asked_by="a test").begin()
        return await self.pages.find(opened.link.rpartition("/")[2], LOCAL_PRINCIPAL)

    async def only(self):
        (connection,) = (await self.connections.look()).connections
        return connection

    async def granted(self, page, choice="acme", browser="b"):
        """Consent on *page* and at Convex; return the state and the code that come back."""
        url = await self.grants.authorize(LOCAL_PRINCIPAL, page, browser=browser)
        back = await approve(url, choice)
        return dict(part.split("=") for part in back.partition("?")[2].split("&"))

    async def finish(self, back, *, principal=LOCAL_PRINCIPAL, browser="b"):
        return await self.grants.finish(principal, back["state"], back["code"], browser=browser)


@pytest.fixture
async def desk(tmp_path):
    clock = Clock()
    async with fake_cloud() as cloud, open_data_dir(tmp_path / "data", ()) as store:
        cloud.add_project(cloud.add_team(), "shop")
        cloud.consent.redirect_uris.add(CALLBACK)
        management = HttpManagementApi(cloud.url, dashboard_host=cloud.url)
        application = OAuthApplication(
            client_id=cloud.consent.client_id,
            client_secret=SecretStr(cloud.consent.client_secret),
            dashboard_host=cloud.url,
            provision_host=cloud.url,
        )
        oauth = HttpOAuthApi(application)
        targets = targets_of(ConvexDeployment(), store.targets)
        pages = PageService(store.pages, Links(), owner=OWNER)
        ports = {"connections": store.connections, "flows": store.pages, "management": management}
        yield Desk(
            cloud=cloud,
            store=store,
            clock=clock,
            home=tmp_path,
            pages=pages,
            connections=ConnectionService(
                ConnectionPorts(store=store.connections, api=management),
                pages,
                targets,
                owner=LOCAL_PRINCIPAL,
                now=clock,
            ),
            grants=GrantService(GrantPorts(**ports, oauth=oauth), targets, callback_url=CALLBACK),
            plain_grants=GrantService(
                GrantPorts(**ports, oauth=None, cli_login=CliLoginFile(tmp_path / ".convex")),
                targets,
                callback_url=CALLBACK,
            ),
        )
        await management.close()
        await oauth.close()


def log_in(home, token):
    (home / ".convex").mkdir()
    (home / ".convex" / "config.json").write_text(f'{{"accessToken": "{token}"}}')


async def test_after_fifteen_seconds_connecting_is_slow_and_not_given_up(desk):
    await desk.page()
    assert "slow" not in (await desk.connections.look()).next_step

    desk.clock.ahead = timedelta(seconds=16)

    seen = await desk.connections.look()
    assert "slow" in seen.next_step
    assert "not verified" in seen.next_step  # Convex says so to the person only, and never sends them back
    assert "connecting" == seen.connections[0].state


async def test_who_never_returns_has_failed_after_ten_minutes_and_may_try_again(desk):
    await desk.page()
    desk.clock.ahead = timedelta(minutes=10)

    connection = await desk.only()

    assert ("failed", True) == (connection.state, connection.retryable)
    assert "ten minutes" in connection.reason


async def test_a_late_success_wins(desk):
    back = await desk.granted(await desk.page())
    desk.clock.ahead = timedelta(minutes=11)
    assert "failed" == (await desk.only()).state

    await desk.finish(back)

    assert ("connected", None) == ((await desk.only()).state, (await desk.only()).reason)


async def test_a_success_after_the_person_declined_wins_too(desk):
    page = await desk.page()
    back = await desk.granted(page)
    await desk.connections.connecting("team", asked_by="").declined(page.subject["connection"])
    assert "failed" == (await desk.only()).state

    await desk.finish(back)

    assert "connected" == (await desk.only()).state


async def test_the_way_back_is_another_principals_to_nobody(desk):
    back = await desk.granted(await desk.page())

    with pytest.raises(errors.NotFound):
        await desk.finish(back, principal=STRANGER)
    assert [] == desk.cloud.asked("token")
    assert () == await desk.store.connections.list(STRANGER)


async def test_a_page_is_another_principals_to_nobody_and_stays_the_owners(desk):
    page = await desk.page()

    with pytest.raises(errors.NotFound):
        await desk.pages.take(page.handle, STRANGER)
    with pytest.raises(errors.NotFound):
        await desk.grants.offer(STRANGER, page)

    assert page == await desk.pages.take(page.handle, LOCAL_PRINCIPAL)


async def test_a_state_that_was_never_given_leads_nowhere(desk):
    with pytest.raises(errors.NotFound):
        await desk.grants.finish(LOCAL_PRINCIPAL, "", "code", browser="b")


async def test_only_the_ways_that_lead_somewhere_are_offered(desk):
    page = await desk.page()
    assert ("oauth",) == (await desk.grants.offer(LOCAL_PRINCIPAL, page)).ways
    assert ("team_token", "deploy_key") == (await desk.plain_grants.offer(LOCAL_PRINCIPAL, page)).ways

    log_in(desk.home, "c4n4ry")
    assert ("cli_login", "team_token", "deploy_key") == (await desk.plain_grants.offer(LOCAL_PRINCIPAL, page)).ways


async def test_the_login_of_the_cli_connects_and_outlives_being_disconnected(desk):
    grant = desk.cloud.grant("login", desk.cloud.teams[0])
    log_in(desk.home, grant.token)
    connection = await desk.plain_grants.use_cli_login(LOCAL_PRINCIPAL, await desk.page())
    assert ("connected", "cli_login", desk.cloud.teams[0].id) == (
        connection.state,
        connection.grant,
        connection.team.id,
    )
    assert grant.token == (await desk.store.connections.token(LOCAL_PRINCIPAL, connection.id)).get_secret_value()

    gone = await desk.connections.disconnect(None)

    assert not gone.revoked
    assert "npx convex logout" in gone.next_step
    assert grant in desk.cloud.grants
    with pytest.raises(errors.NotConnected):
        await desk.store.connections.token(LOCAL_PRINCIPAL, connection.id)


async def test_a_typed_token_of_one_project_connects_that_project(desk):
    project = next(iter(desk.cloud.projects.values()))
    grant = desk.cloud.grant("team_token", desk.cloud.teams[0], project)

    connection = await desk.plain_grants.use_token(LOCAL_PRINCIPAL, await desk.page(), SecretStr(grant.token))

    assert ("project", "shop") == (connection.scope, connection.project.slug)


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Says(401), errors.CredentialRejected), (Says(403, "SSORequired"), errors.SsoRequired)],
)
async def test_a_typed_token_that_convex_refuses_is_not_stored(desk, fault, error):
    desk.cloud.always("token_details", fault)
    page = await desk.page()

    with pytest.raises(error):
        await desk.plain_grants.use_token(LOCAL_PRINCIPAL, page, SecretStr("team:acme|c4n4ryc4n4ry"))

    assert "connecting" == (await desk.only()).state
    with pytest.raises(errors.NotConnected):
        await desk.store.connections.token(LOCAL_PRINCIPAL, page.subject["connection"])


async def test_what_was_stored_by_hand_remains_to_be_revoked_by_hand(desk):
    grant = desk.cloud.grant("team_token", desk.cloud.teams[0])
    await desk.plain_grants.use_token(LOCAL_PRINCIPAL, await desk.page(), SecretStr(grant.token))

    gone = await desk.connections.disconnect(None)

    assert "Access tokens" in gone.next_step
    assert grant in desk.cloud.grants
    assert () == (await desk.connections.look()).connections


async def test_what_the_agent_is_told_to_do_next_depends_on_where_things_stand(desk):
    assert "`connect`" in (await desk.connections.look()).next_step
    await desk.finish(await desk.granted(await desk.page()))
    assert "create_project" in (await desk.connections.look()).next_step
    await desk.store.targets.put(*OWNER, reach_of())
    assert "`push`" in (await desk.connections.look()).next_step


async def test_of_several_teams_the_login_connects_the_one_that_was_chosen(desk):
    globex = desk.cloud.add_team("globex", "Globex")
    log_in(desk.home, desk.cloud.grant("login", desk.cloud.teams[0]).token)
    page = await desk.page()
    assert ["acme", "globex"] == [team.slug for team in await desk.plain_grants.teams_of_cli_login()]

    for nobodys in (None, "0", "globex"):
        with pytest.raises(errors.InvalidArguments):
            await desk.plain_grants.use_cli_login(LOCAL_PRINCIPAL, page, nobodys)
    assert "connecting" == (await desk.only()).state
    connection = await desk.plain_grants.use_cli_login(LOCAL_PRINCIPAL, page, str(globex.id))

    assert ("connected", "globex") == (connection.state, connection.team.slug)


async def test_a_typed_token_of_several_teams_is_not_stored(desk):
    desk.cloud.add_team("globex", "Globex")
    login = SecretStr(desk.cloud.grant("login", desk.cloud.teams[0]).token)

    with pytest.raises(errors.InvalidArguments):
        await desk.plain_grants.take(LOCAL_PRINCIPAL, login)

    assert () == (await desk.connections.look()).connections


async def test_a_team_that_is_connected_anew_after_its_token_was_revoked_is_the_same_connection(desk):
    team = desk.cloud.teams[0]
    revoked = await desk.plain_grants.take(LOCAL_PRINCIPAL, SecretStr(desk.cloud.grant("team_token", team).token))
    failed = revoked.model_copy(update={"state": "failed", "reason": "Revoked.", "retryable": True})
    await desk.store.connections.put(LOCAL_PRINCIPAL, failed)

    grant = desk.cloud.grant("team_token", team)
    page = await desk.page()
    assert {"failed", "connecting"} == {one.state for one in (await desk.connections.look()).connections}
    connection = await desk.plain_grants.use_token(LOCAL_PRINCIPAL, page, SecretStr(grant.token))

    assert (revoked.id, "connected", None) == (connection.id, connection.state, connection.reason)
    assert connection == await desk.only()
    assert grant.token == (await desk.store.connections.token(LOCAL_PRINCIPAL, connection.id)).get_secret_value()
