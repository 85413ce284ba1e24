"""The template at E2B: built from what this repository locks, and looked for by its name."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator

import pytest

from mcp_convex.domain.errors import SandboxBusy, SandboxLost, SettingsInvalid
from mcp_convex.sandboxes.e2b.account import Account
from mcp_convex.sandboxes.e2b.template import NAME
from mcp_convex.server.e2b import e2b_account, has_template
from mcp_convex.settings import load
from tests.doubles.e2b.cloud import API_KEY, Fault
from tests.doubles.e2b.opening import open_account
from tests.doubles.projects import TEMPLATE

pytestmark = pytest.mark.anyio


@pytest.fixture
def account(cloud) -> Iterator[Account]:
    """The account, as an operator's commands find it."""
    yield open_account(cloud)
    cloud.faults.clear()


async def command(url: str, action: str, key: str = API_KEY) -> tuple[int | None, str]:
    """Run `mcp-convex e2b` as an operator does, and return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mcp_convex", "e2b", action, "--e2b-api-url", url),
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "E2B_API_KEY": key},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, said.decode()


async def test_a_template_is_built_from_what_is_locked_and_found_afterwards(cloud) -> None:
    earlier = NAME.replace("1.48", "1.47")
    cloud.templates[earlier] = cloud.templates.pop(NAME)
    code, said = await command(cloud.url, "check")
    assert (1, True) == (code, "no template `mcp-convex:1.48.0`" in said)
    code, said = await command(cloud.url, "build-template")
    assert (0, True) == (code, "building" in said), said
    assert 0 == (await command(cloud.url, "check"))[0]

    packed = {}
    for upload in cloud.builds.uploads:
        with tarfile.open(fileobj=io.BytesIO(upload)) as archive:
            packed |= {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}
    del cloud.templates[earlier]
    names = ("package.json", "package-lock.json")
    assert {name: (TEMPLATE / name).read_bytes() for name in names} == packed
    steps = cloud.builds.asked["steps"]
    commands = [" ".join(step["args"]) for step in steps if "RUN" == step["type"]]
    assert [True] == [
        "npm ci --ignore-scripts" in text and "chmod -R a-w" in text for text in commands if "npm" in text
    ]
    assert ("node:22-slim", True) == (cloud.builds.asked["fromImage"], any("procps" in text for text in commands))
    assert API_KEY not in json.dumps(cloud.builds.asked)


async def test_a_build_that_fails_says_why(cloud) -> None:
    cloud.builds.refused = "the disk is full"
    code, said = await command(cloud.url, "build-template")
    cloud.builds.refused = None
    assert (2, True) == (code, "the disk is full" in said)


async def test_a_wrong_key_is_named_and_not_shown(cloud) -> None:
    code, said = await command(cloud.url, "check", key="e2b_wrong_canary")
    assert (2, True, False) == (code, "does not accept the API key" in said, "canary" in said)


@pytest.mark.parametrize(("route", "status"), [("/aliases/", 404), ("/aliases/", 400), ("/tags", 403), ("/tags", 404)])
async def test_a_name_that_is_nobodys_or_another_accounts_is_no_template(account, cloud, route, status) -> None:
    cloud.faults.append(Fault(route, status=status))
    assert not await account.has_template()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("/aliases/", status=500), SandboxLost),
        (Fault("/tags", status=500), SandboxLost),
        (Fault("/aliases/", cut_after=0, times=9), SandboxLost),
        (Fault("/aliases/", status=503, times=9), SandboxBusy),
        (Fault("/tags", status=401), SettingsInvalid),
    ],
    ids=lambda value: f"{value.at} {value.status or 'cut'}" if isinstance(value, Fault) else None,
)
async def test_what_keeps_e2b_from_saying_so_is_told_as_that(account, cloud, fault, error) -> None:
    cloud.faults.append(fault)
    with pytest.raises(error) as caught:
        await account.has_template()
    assert "e2b check" not in caught.value.next_step, "it is what the operator has called"


@pytest.mark.parametrize("key", ["", " \n", "e2b_\x1bcanary", "e2b_canaré"])
def test_who_has_no_key_or_what_is_none_is_told_to_set_it(key) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        e2b_account(load({}, {"E2B_API_KEY": key}))
    assert caught.value.next_step.startswith("Set E2B_API_KEY")
    assert "canar" not in repr((caught.value, caught.value.__cause__, caught.value.__context__))


async def test_the_end_of_a_line_is_no_part_of_a_key(cloud) -> None:
    assert (NAME, True) == await has_template(load({"e2b_api_url": cloud.url}, {"E2B_API_KEY": f"{API_KEY}\n"}))


def test_the_templates_name_stands_for_its_packages() -> None:
    package = json.loads((TEMPLATE / "package.json").read_text())
    named = ("mcp-convex:1.48.0", {"convex": "1.48.0"}, {"@types/node": "^20.19.0", "typescript": "7.0.2"})
    assert named == (NAME, package["dependencies"], package["devDependencies"]), "others need another name"
