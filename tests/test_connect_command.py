"""`mcp-convex connect`: a token or key from a file or standard input, known by its shape, and repeated nowhere."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from mcp_convex.domain.models import Target
from mcp_convex.server import open_services
from mcp_convex.settings import Settings
from tests.doubles.cloud import FakeCloud, fake_cloud
from tests.doubles.office import office_settings

pytestmark = pytest.mark.anyio


@dataclass
class Terminal:
    """A person's terminal in the app's directory, on a machine that takes *cloud* for Convex."""

    cloud: FakeCloud
    settings: Settings

    async def connect(self, given: str, *words: str) -> tuple[int, str]:
        """Run the command with *given* on standard input, and return its exit code and all that it wrote."""
        places = ["--workspace", str(self.settings.workspace), "--data-dir", str(self.settings.data_dir)]
        program = [sys.executable, "-m", "mcp_convex", "connect", *words, *places, "--log-level", "debug"]
        hosts = {"PROVISION_HOST": self.cloud.url, "DASHBOARD_HOST": self.cloud.url}
        with anyio.fail_after(60):
            done = await anyio.run_process(program, input=given.encode(), env=hosts, check=False)
        said = (done.stdout + done.stderr).decode()
        assert not given.strip() or given.strip().rpartition("|")[2] not in said
        return done.returncode, said

    async def linked(self) -> Target | None:
        async with open_services(self.settings) as services:
            return await services.targets.linked()


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    async with fake_cloud() as cloud:
        cloud.add_project(cloud.add_team(), "shop")
        yield Terminal(cloud, office_settings(tmp_path, cloud, oauth=False))


async def test_a_token_of_a_team_or_of_a_project_connects_it(terminal, tmp_path):
    team, project = terminal.cloud.teams[0], next(iter(terminal.cloud.projects.values()))
    file = tmp_path / "token"
    file.write_text(terminal.cloud.grant("team_token", team, project).token)

    typed = await terminal.connect(terminal.cloud.grant("team_token", team).token + "\n", "--token-file", "-")
    read = await terminal.connect("", "--token-file", str(file))

    assert (0, "Connected to Convex: team acme.\n") == typed
    assert (0, "Connected to Convex: project shop.\n") == read
    async with open_services(terminal.settings) as services:
        found = (await services.connections.look()).connections
        assert {("project", "connected"), ("team", "connected")} == {(one.scope, one.state) for one in found}
        (shop,) = (await services.projects.list_projects()).projects
        assert "shop" == shop.slug


async def test_a_deploy_key_links_the_deployment_that_convex_says_it_opens(terminal):
    deployment = await terminal.cloud.add_deployment(next(iter(terminal.cloud.projects.values())))
    deployment.keys["ours"] = f"dev:{deployment.name}|c4n4ryc4n4ry"

    code, said = await terminal.connect(deployment.keys["ours"], "--token-file", "-")

    assert (0, f"This workspace now pushes to {deployment.url.removeprefix('http://')}") == (code, said.split(" (")[0])
    assert deployment.url == (await terminal.linked()).url


async def test_what_cannot_be_taken_is_refused_and_nothing_is_stored(terminal):
    production = await terminal.cloud.add_deployment(next(iter(terminal.cloud.projects.values())), "prod")
    production.keys["ours"] = f"prod:{production.name}|c4n4ryc4n4ry"
    stranger = "team:acme|c4n4ryc4n4ry"

    refused = [
        await terminal.connect(production.keys["ours"], "--token-file", "-"),
        await terminal.connect(stranger, "--token-file", "-"),
        await terminal.connect("self-hosted|c4n4ryc4n4ry", "--token-file", "-"),
        await terminal.connect("two words", "--token-file", "-"),
    ]

    assert [2] * 4 == [code for code, _ in refused]
    assert ["blocked_by_policy", "credential_rejected", "invalid_arguments", "invalid_arguments"] == [
        said.splitlines()[-2].split(": ")[1] for _, said in refused
    ]
    assert ["token_details"] == terminal.cloud.steps()
    assert await terminal.linked() is None


async def test_an_operator_may_allow_a_key_for_production(terminal):
    production = await terminal.cloud.add_deployment(next(iter(terminal.cloud.projects.values())), "prod")
    production.keys["ours"] = f"prod:{production.name}|c4n4ryc4n4ry"

    code, said = await terminal.connect(production.keys["ours"], "--token-file", "-", "--allow-production")

    assert 0 == code, said
    assert "prod" == (await terminal.linked()).type
