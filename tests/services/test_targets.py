"""Which deployment a workspace works with, and which it never touches."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from mcp_convex.domain import errors
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.secrets import AdminKeyValue
from tests.doubles.convex_deployment import KEY, URL, ConvexDeployment, reach_of
from tests.doubles.targets import EMBEDDED, OWNER, MemoryTargetStore, targets_of

pytestmark = pytest.mark.anyio

PROD = {"kind": "cloud", "deploymentType": "prod"}


def key(text: str = KEY) -> AdminKeyValue:
    return AdminKeyValue(SecretStr(text))


async def test_a_workspace_that_was_never_linked_works_with_the_embedded_deployment():
    deployment = ConvexDeployment()

    assert await targets_of(deployment).reach() is EMBEDDED
    assert [] == deployment.requests


async def test_a_linked_deployment_is_described_as_it_describes_itself():
    store = MemoryTargetStore()
    await store.put(*OWNER, reach_of(kind="self_hosted", type=None))

    reach = await targets_of(ConvexDeployment(), store).reach()

    assert ("cloud", "dev", "calm-newt-5") == (reach.target.kind, reach.target.type, reach.target.name)


async def test_a_self_hosted_deployment_too_old_to_describe_itself_is_taken_as_it_is():
    store = MemoryTargetStore()
    stored = reach_of(kind="self_hosted", type=None, url="https://convex.example.com")
    await store.put(*OWNER, stored)

    assert stored == await targets_of(ConvexDeployment(info=None), store).reach()


@pytest.mark.parametrize(
    ("stored", "info", "asked"),
    [
        pytest.param(reach_of(type="prod"), None, False, id="the record says so"),
        pytest.param(reach_of(key="prod:calm-newt-5|c4n4ryc4n4ry"), None, False, id="the key says so"),
        pytest.param(reach_of(), PROD, True, id="only the deployment says so"),
        pytest.param(reach_of(kind="self_hosted", type=None), PROD, True, id="a self-hosted record hides it"),
    ],
)
async def test_production_is_refused_whoever_says_that_it_is(stored, info, asked):
    """A dev key's prefix proves nothing, and where the answer is known before, nothing is sent."""
    store, deployment = MemoryTargetStore(), ConvexDeployment(info=info)
    await store.put(*OWNER, stored)

    with pytest.raises(errors.BlockedByPolicy):
        await targets_of(deployment, store).reach()

    assert asked == bool(deployment.requests)


async def test_an_operator_may_allow_production():
    store = MemoryTargetStore()
    await store.put(*OWNER, reach_of())

    reach = await targets_of(ConvexDeployment(info=PROD), store, Policy(allow_production=True)).reach()

    assert "prod" == reach.target.type


async def test_a_deployment_that_no_longer_accepts_the_key_is_not_used():
    store, deployment = MemoryTargetStore(), ConvexDeployment(key="another")
    await store.put(*OWNER, reach_of())

    with pytest.raises(errors.CredentialRejected):
        await targets_of(deployment, store).reach()


async def test_a_cloud_deployment_that_does_not_say_what_it_is_is_not_used():
    store = MemoryTargetStore()
    await store.put(*OWNER, reach_of())

    with pytest.raises(errors.NotFound):
        await targets_of(ConvexDeployment(info=None), store).reach()


async def test_linking_stores_the_deployment_once_it_has_accepted_the_key():
    store, deployment = MemoryTargetStore(), ConvexDeployment(info={"kind": "selfHosted"})
    targets = targets_of(deployment, store)

    target = await targets.link("https://convex.example.com/", key())

    assert ("self_hosted", "convex.example.com") == (target.kind, target.name)
    assert ("https://convex.example.com", "https://calm-newt-5.convex.site") == (target.url, target.site_url)
    assert target == (await targets.reach()).target
    assert KEY not in repr(await targets.reach())


async def test_a_cloud_deployment_is_linked_under_its_name():
    target = await targets_of(ConvexDeployment()).link(URL, key())

    assert ("cloud", "calm-newt-5", "dev") == (target.kind, target.name, target.type)


@pytest.mark.parametrize(
    ("deployment", "url", "credential", "expected"),
    [
        (ConvexDeployment(), URL, "dev:calm-newt-5|wrongwrong", errors.CredentialRejected),
        (ConvexDeployment(info=PROD), URL, KEY, errors.BlockedByPolicy),
        (ConvexDeployment(), URL, "prod:calm-newt-5|c4n4ryc4n4ry", errors.BlockedByPolicy),
        (ConvexDeployment(), "http://convex.example.com", KEY, errors.InvalidArguments),
        (ConvexDeployment(), URL, "", errors.SettingsInvalid),
        (ConvexDeployment(urls={}), URL, KEY, errors.UnexpectedAnswer),
    ],
)
async def test_what_may_not_be_linked_is_not_stored(deployment, url, credential, expected):
    store = MemoryTargetStore()

    with pytest.raises(expected):
        await targets_of(deployment, store).link(url, key(credential))

    assert await store.get(*OWNER) is None


async def test_unlinking_goes_back_to_the_embedded_deployment():
    store = MemoryTargetStore()
    await store.put(*OWNER, reach_of())
    targets = targets_of(ConvexDeployment(), store)

    assert (True, False) == (await targets.unlink(), await targets.unlink())
    assert await targets.reach() is EMBEDDED
