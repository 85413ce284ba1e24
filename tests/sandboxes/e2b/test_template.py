"""The template at E2B: built from what this repository locks, and looked for by its name."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import tarfile

import pytest

from mcp_convex.sandboxes.e2b.template import NAME
from tests.doubles.e2b.cloud import API_KEY
from tests.doubles.office import free_port
from tests.doubles.projects import TEMPLATE

pytestmark = pytest.mark.anyio


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
    commands = [" ".join(step["args"]) for step in cloud.builds.steps if "RUN" == step["type"]]
    assert [True] == ["npm ci --ignore-scripts" in text for text in commands if "npm" in text]
    assert API_KEY not in json.dumps(cloud.builds.steps)


async def test_a_build_that_fails_says_why(cloud) -> None:
    cloud.builds.refused = "the disk is full"
    code, said = await command(cloud.url, "build-template")
    cloud.builds.refused = None
    assert (2, True) == (code, "the disk is full" in said)


async def test_a_wrong_key_is_named_and_not_shown(cloud) -> None:
    code, said = await command(cloud.url, "check", key="e2b_wrong_canary")
    assert (2, True, False) == (code, "does not accept the API key" in said, "canary" in said)


@pytest.mark.parametrize(
    ("key", "said"),
    [("", "Next step: Set E2B_API_KEY."), (API_KEY, "E2B cannot be reached")],
    ids=["no key", "no network"],
)
async def test_what_hinders_an_operator_is_said(key, said) -> None:
    code, output = await command(f"http://127.0.0.1:{free_port()}", "check", key)
    assert (2, True) == (code, said in output), output


def test_the_templates_name_carries_the_version_of_its_convex_package() -> None:
    package = json.loads((TEMPLATE / "package.json").read_text())
    assert f"mcp-convex:{package['dependencies']['convex']}" == NAME
