"""The management API: what a token opens, what there is, and what is never believed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from pydantic import SecretStr

from mcp_convex.convex_api.management import HttpManagementApi
from mcp_convex.convex_api.retry import Retry
from mcp_convex.domain import errors
from mcp_convex.domain.connections import ProjectId, TeamId
from mcp_convex.domain.ports import NewDeployment
from mcp_convex.domain.secrets import AccessTokenValue, AdminKeyValue
from tests.doubles.convex_deployment import Naps
from tests.doubles.deployment import Answers, Babbles, BreaksOff, HangsUp, KeepsSilent, Says

pytestmark = pytest.mark.anyio


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
async def api(cloud, naps):
    api = HttpManagementApi(
        cloud.url, dashboard_host="https://dashboard.test", retry=Retry(sleep=naps, jitter=0), answer_s=1
    )
    yield api
    await api.close()


def token_of(grant) -> AccessTokenValue:
    return AccessTokenValue(SecretStr(grant.token))


@pytest.fixture
def token(cloud) -> AccessTokenValue:
    return token_of(cloud.grant("oauth", cloud.teams[0]))


@pytest.fixture
def team(cloud) -> TeamId:
    return TeamId(cloud.teams[0].id)


# --- what a token opens ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["oauth", "team_token"])
async def test_a_team_token_opens_its_team(kind, api, cloud):
    (team,), project = await api.details(token_of(cloud.grant(kind, cloud.teams[0])))

    assert (cloud.teams[0].id, "acme", None) == (team.id, team.slug, project)


async def test_a_project_token_opens_its_project_in_its_team(api, cloud):
    shop = cloud.add_project(cloud.teams[0], "Pet shop")

    (team,), project = await api.details(token_of(cloud.grant("oauth", cloud.teams[0], shop)))

    assert ("acme", shop.id, "pet-shop") == (team.slug, project.id, project.slug)


async def test_the_login_of_the_cli_opens_each_of_its_teams(api, cloud):
    cloud.add_team("globex", "Globex")

    teams, project = await api.details(token_of(cloud.grant("login", cloud.teams[0])))

    assert (["acme", "globex"], None) == ([team.slug for team in teams], project)


async def test_convex_says_where_the_deployment_of_a_key_is(api, cloud):
    deployment = await cloud.add_deployment(cloud.add_project(cloud.teams[0], "Pet shop"))
    deployment.keys["ours"] = key = f"dev:{deployment.name}|c4n4ryc4n4ry"

    assert deployment.url == await api.deployment_url(AdminKeyValue(SecretStr(key)))
    with pytest.raises(errors.CredentialRejected) as caught:
        await api.deployment_url(AdminKeyValue(SecretStr(f"{key}-not")))
    assert "c4n4ry" not in str(caught.value)


async def test_a_revoked_token_opens_nothing(api, cloud):
    grant = cloud.grant("oauth", cloud.teams[0])
    cloud.revoke(grant)

    with pytest.raises(errors.CredentialRejected) as caught:
        await api.details(token_of(grant))

    assert "`connect`" in caught.value.next_step


async def test_a_team_token_can_be_revoked_and_an_oauth_grant_only_in_the_dashboard(api, cloud):
    minted, granted = cloud.grant("team_token", cloud.teams[0]), cloud.grant("oauth", cloud.teams[0])

    assert (True, False) == (await api.revoke(token_of(minted)), await api.revoke(token_of(granted)))
    assert [granted] == cloud.grants


async def test_the_token_travels_in_the_header_only(api, cloud, token, team):
    project, _ = await api.create_project(token, team, "Pet shop")
    await api.create_deployment(token, project.id, NewDeployment(type="dev", reference="dev/ada"))

    for seen in cloud.seen:
        assert f"Bearer {token.get_secret_value()}" == seen.headers["authorization"]
        assert seen.headers["convex-client"].startswith("mcp-convex-")
        assert token.get_secret_value() not in seen.raw.decode()


# --- what there is -----------------------------------------------------------------------------------------------


async def test_every_page_of_a_teams_projects_is_read(api, cloud, token, team):
    cloud.page_size = 3
    for number in range(10):
        cloud.add_project(cloud.teams[0], f"Shop {number}")

    found = await api.list_projects(token, team)
    narrowed = await api.list_projects(token, team, search="shop 7")

    assert [f"Shop {number}" for number in reversed(range(10))] == [project.name for project in found]
    assert ["Shop 7"] == [project.name for project in narrowed]


async def test_a_cursor_that_does_not_move_ends_the_reading(api, cloud, token, team):
    page = {"items": [], "pagination": {"hasMore": True, "nextCursor": "1"}}
    cloud.always("list_projects", Answers(page))

    assert () == await api.list_projects(token, team)
    assert 2 == len(cloud.asked("list_projects"))


async def test_deployments_on_a_persons_own_machine_are_left_out(api, cloud, token):
    local = {"kind": "local", "name": "local-1", "deploymentType": "dev", "projectId": 1, "port": 3210}
    cloud.script("list_deployments", Answers([local]))

    assert () == await api.list_deployments(token, ProjectId(1))


async def test_a_deployment_is_as_convex_describes_it(api, cloud, token):
    shop = cloud.add_project(cloud.teams[0], "Pet shop")
    expires_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    new = NewDeployment(type="preview", reference="preview/checkout", expires_at=expires_at)

    made = await api.create_deployment(token, ProjectId(shop.id), new)

    assert (made,) == await api.list_deployments(token, ProjectId(shop.id))
    assert ("preview", "preview/checkout", expires_at) == (made.type, made.reference, made.expires_at)
    assert (cloud.deployments[made.name].url, False) == (made.url, made.is_default)
    assert f"https://dashboard.test/d/{made.name}" == made.dashboard_url


async def test_the_persons_own_dev_deployment_is_told_apart(api, cloud, token):
    shop = cloud.add_project(cloud.teams[0], "Pet shop")
    assert await api.default_dev(token, ProjectId(shop.id)) is None
    await cloud.add_deployment(shop, reference="dev/else")
    mine = await cloud.add_deployment(shop, reference="dev/ada", isDefault=True)

    assert mine.name == (await api.default_dev(token, ProjectId(shop.id))).name


@pytest.mark.parametrize(
    "url", [None, "http://evil.example", "https://x@evil.example", "https://a.example/path", "file:///etc/passwd"]
)
async def test_a_deployment_at_an_address_that_no_key_may_go_to_is_not_believed(url, api, cloud, token):
    shop = cloud.add_project(cloud.teams[0], "Pet shop")
    deployment = await cloud.add_deployment(shop)
    cloud.always("list_deployments", Answers([{**deployment.json(), "deploymentUrl": url}]))

    with pytest.raises(errors.UnexpectedAnswer):
        await api.list_deployments(token, ProjectId(shop.id))


async def test_a_key_under_oauth_is_the_grant_itself_and_any_other_one_of_its_own(api, cloud):
    shop = cloud.add_project(cloud.teams[0], "Pet shop")
    await cloud.add_deployment(shop)
    granted, minted = (cloud.grant(kind, cloud.teams[0]) for kind in ("oauth", "team_token"))
    (deployment,) = await api.list_deployments(token_of(granted), ProjectId(shop.id))

    wide = await api.create_deploy_key(token_of(granted), deployment, "one")
    narrow = await api.create_deploy_key(token_of(minted), deployment, "two")

    assert f"dev:{deployment.name}|{granted.secret}" == wide.get_secret_value()
    assert minted.secret not in narrow.get_secret_value()
    assert wide.get_secret_value() not in repr(wide)


# --- what goes wrong ---------------------------------------------------------------------------------------------


LOST = [HangsUp(), BreaksOff(), Says(500), Says(502)]


@pytest.mark.parametrize("fault", [*LOST, *(replace(fault, applies=True) for fault in LOST)], ids=str)
async def test_what_may_have_been_made_is_looked_for_before_it_is_made_again(fault, api, cloud, token, team):
    cloud.script("create_project", fault)

    await api.create_project(token, team, "Pet shop")

    assert 1 == len(cloud.projects)
    assert (1 if fault.applies else 2) == len(cloud.asked("create_project"))
    assert 1 == len(cloud.asked("list_projects"))


async def test_what_was_silent_is_looked_for_and_not_made_again(api, cloud, token, team):
    cloud.always("create_project", KeepsSilent())

    with pytest.raises(errors.OutcomeUnknown):
        await api.create_project(token, team, "Pet shop")

    assert (1, 1) == (len(cloud.asked("create_project")), len(cloud.asked("list_projects")))


async def test_garbage_for_an_answer_is_no_project(api, cloud, token, team):
    cloud.always("create_project", Babbles())

    with pytest.raises(errors.UnexpectedAnswer):
        await api.create_project(token, team, "Pet shop")


async def test_a_refusal_whose_body_has_no_end_or_no_shape_is_its_status():
    async def forever():
        while True:
            yield b" " * 2**16

    for content in (forever(), b"[]", b'{"code": 1}', b"<html>"):
        api = HttpManagementApi(
            "https://convex.test",
            dashboard_host="https://dashboard.test",
            transport=httpx2.MockTransport(lambda _, content=content: httpx2.Response(403, content=content)),
        )
        with pytest.raises(errors.ActionNotAllowed):
            await api.list_projects(AccessTokenValue(SecretStr("team:acme|c4n4ry")), TeamId(1))
