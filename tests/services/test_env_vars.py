"""Env vars of a linked deployment: limits, policy, and a page that serves its own person and deployment only."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from mcp_convex.domain import errors
from mcp_convex.domain.connections import PendingPage
from mcp_convex.domain.models import PrincipalId, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import Pages
from mcp_convex.sandboxes import LocalSandbox
from mcp_convex.services.auth_keys import AuthKeyService
from mcp_convex.services.env_known import KnownEnvVars
from mcp_convex.services.env_vars import EnvVarPorts, EnvVarService
from mcp_convex.services.pages import PageService
from mcp_convex.store import open_data_dir
from tests.doubles.convex_deployment import ConvexDeployment, api_of, reach_of
from tests.doubles.plain_launcher import PlainLauncher
from tests.doubles.projects import TEMPLATE
from tests.doubles.targets import OWNER, MemoryTargetStore, targets_of

pytestmark = pytest.mark.anyio

VALUE = SecretStr("c4n4ry-value")
UPDATE = "/api/v1/update_environment_variables"


class KeptPages(Pages):
    """Pages that nobody serves; the last one is at hand."""

    page: PendingPage

    async def link(self, page: PendingPage) -> str:
        self.page = page
        return f"http://localhost/{page.handle}"

    @property
    def callback_url(self) -> str:
        return "http://localhost/callback"


class House:
    """The services over one linked deployment."""

    def __init__(self, folder, store, policy: Policy) -> None:
        self.deployment = ConvexDeployment()
        self.linked = MemoryTargetStore()
        self.pages = KeptPages()
        api, targets = api_of(self.deployment), targets_of(self.deployment, self.linked, policy)
        sandbox = LocalSandbox(folder, folder.with_name("state"), PlainLauncher(), TEMPLATE)
        pages = PageService(store.pages, self.pages, owner=OWNER)
        ports = EnvVarPorts(api=api, sandbox=sandbox, known=KnownEnvVars(targets))
        self.env = EnvVarService(ports, targets, pages, owner=OWNER)
        self.auth = AuthKeyService(api, targets)

    async def link(self, **target):
        await self.linked.put(*OWNER, reach_of(**target))
        return self

    async def ask(self, name="OPENAI_API_KEY") -> PendingPage:
        await self.env.requesting(name, "why").begin()
        return self.pages.page

    def changes(self) -> int:
        return self.deployment.paths().count(UPDATE)


@pytest.fixture
async def store(tmp_path):
    async with open_data_dir(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def build(tmp_path, store):
    return lambda policy: House(tmp_path, store, policy)


@pytest.fixture
async def house(build):
    return await build(Policy()).link()


EACH_CHANGE = {
    "set": lambda house: house.env.set({"A": "1"}),
    "unset": lambda house: house.env.unset(["A"]),
    "request": lambda house: house.env.requesting("A_KEY", "why").begin(),
    "set up auth": lambda house: house.auth.set_up(),
}


@pytest.mark.parametrize("change", EACH_CHANGE.values(), ids=EACH_CHANGE)
@pytest.mark.parametrize(
    ("policy", "target", "info"),
    [
        (Policy(read_only=True), {}, "dev"),
        (Policy(), {"type": "prod"}, "dev"),
        (Policy(), {}, "prod"),
        (Policy(), {"key": "prod:calm-newt-5|c4n4ryc4n4ry"}, "dev"),
    ],
    ids=["read-only", "recorded as prod", "is prod", "prod key"],
)
async def test_nothing_is_changed_where_the_operator_forbids_it(build, change, policy, target, info):
    house = await build(policy).link(**target)
    house.deployment.info = {"kind": "cloud", "deploymentType": info}

    with pytest.raises(errors.BlockedByPolicy):
        await change(house)
    assert 0 == house.changes()


async def test_production_is_changed_where_the_operator_has_enabled_it(build):
    house = await build(Policy(allow_production=True)).link(type="prod")

    await house.env.set({"A": "1"})

    assert {"A": "1"} == house.deployment.env


async def test_limits_are_checked_before_anything_is_changed(house):
    house.deployment.env = {f"A{number}": "x" for number in range(512)}

    with pytest.raises(errors.TooLarge, match="512"):
        await house.env.set({"B": "1"})
    with pytest.raises(errors.TooLarge, match="8,192"):
        await house.env.set({"A0": "x" * 8193})
    assert 0 == house.changes()


async def test_what_is_typed_is_set_on_the_deployment_that_the_page_named(house):
    assert "calm-newt-5" == await house.env.set_secret(OWNER[0], await house.ask(), VALUE)

    assert {"OPENAI_API_KEY": "c4n4ry-value"} == house.deployment.env


async def test_a_page_serves_its_own_principal_and_workspace_only(house):
    page = await house.ask()

    with pytest.raises(errors.NotFound):
        await house.env.set_secret(PrincipalId("bob"), page, VALUE)
    with pytest.raises(errors.NotFound):
        await house.env.set_secret(OWNER[0], page.model_copy(update={"workspace": WorkspaceId("other")}), VALUE)
    with pytest.raises(errors.NotFound):
        await house.env.set_secret(OWNER[0], page.model_copy(update={"purpose": "connect"}), VALUE)
    assert 0 == house.changes()


async def test_a_page_does_not_follow_the_workspace_to_another_deployment(house):
    """An agent may not ask for a value for one deployment and have it sent to another."""
    page = await house.ask()
    await house.link(url="https://sly-fox-9.convex.cloud")

    with pytest.raises(errors.InvalidArguments, match="another deployment"):
        await house.env.set_secret(OWNER[0], page, VALUE)
    assert 0 == house.changes()


@pytest.mark.parametrize(("value", "error"), [("", errors.InvalidArguments), ("c4n4ry" * 2000, errors.TooLarge)])
async def test_a_typed_value_that_convex_would_not_take_is_refused_and_not_repeated(house, value, error):
    with pytest.raises(error) as caught:
        await house.env.set_secret(OWNER[0], await house.ask(), SecretStr(value))

    assert "c4n4ry" not in caught.value.message
    assert 0 == house.changes()


async def test_a_person_who_declines_leaves_no_page_behind(house):
    errand = house.env.requesting("A_KEY", "why")
    opened = await errand.begin()
    assert (await errand.outcome(opened.id, 0)).waiting

    await errand.declined(opened.id)

    outcome = await errand.outcome(opened.id, 60)
    assert (False, False) == (outcome.waiting, outcome.is_set)


async def test_auth_is_set_up_in_one_update(house):
    await house.auth.set_up("https://app.example")

    assert {"JWT_PRIVATE_KEY", "JWKS", "SITE_URL"} == set(house.deployment.env)
    assert 1 == house.changes()


async def test_keys_that_serve_are_replaced_only_with_consent(house):
    await house.auth.set_up()
    before = dict(house.deployment.env)

    with pytest.raises(errors.CannotAsk):
        await house.auth.set_up(rotate=True)
    assert before == house.deployment.env

    await house.auth.set_up(rotate=True, consented=True)
    assert before.keys() == house.deployment.env.keys()
    assert not set(before.values()) & set(house.deployment.env.values())
