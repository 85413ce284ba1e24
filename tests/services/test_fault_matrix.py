"""
Every fault of the cloud's double at every call that is not made for creating or linking a project (see test_projects).

Each ends within its deadline, in success or in an error that has a name, and the next try succeeds.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import anyio
import pytest
from pydantic import SecretStr

from mcp_convex.convex_api.cli_login import CliLoginFile
from mcp_convex.convex_api.deployment import HttpDeploymentApi
from mcp_convex.convex_api.management import HttpManagementApi
from mcp_convex.convex_api.oauth import HttpOAuthApi, OAuthApplication
from mcp_convex.convex_api.retry import Retry
from mcp_convex.domain.connections import Connection
from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.models import LOCAL_PRINCIPAL
from mcp_convex.sandboxes import LocalSandbox
from mcp_convex.services.connections import ConnectionPorts, ConnectionService
from mcp_convex.services.env_known import KnownEnvVars
from mcp_convex.services.env_vars import EnvVarPorts, EnvVarService
from mcp_convex.services.grants import GrantPorts, GrantService
from mcp_convex.services.pages import PageService
from mcp_convex.store import open_data_dir
from tests.doubles.cloud import FakeCloud, approve, fake_cloud
from tests.doubles.convex_deployment import Naps
from tests.doubles.plain_launcher import PlainLauncher
from tests.doubles.projects import TEMPLATE
from tests.doubles.provisioning import Place, place
from tests.doubles.targets import OWNER
from tests.services.test_connections import CALLBACK, Links
from tests.services.test_projects import FAULTS

pytestmark = pytest.mark.anyio

SILENCE = {"silence", "silence after the effect"}


@dataclass
class Desk:
    """All that speaks with the cloud, with little patience, and none between two tries."""

    cloud: FakeCloud
    here: Place
    pages: PageService
    connections: ConnectionService
    grants: GrantService
    env_vars: EnvVarService

    async def by_consent(self) -> Connection:
        opened = await self.connections.connecting("team", asked_by="a test").begin()
        page = await self.pages.find(opened.link.rpartition("/")[2], LOCAL_PRINCIPAL)
        back = await approve(await self.grants.authorize(LOCAL_PRINCIPAL, page, browser="b"), "acme")
        found = dict(part.split("=") for part in (back or "").partition("?")[2].split("&"))
        return await self.grants.finish(LOCAL_PRINCIPAL, found["state"], found["code"], browser="b")

    async def by_token(self) -> None:
        grant = self.cloud.grant("team_token", self.cloud.teams[0])
        await self.grants.take(LOCAL_PRINCIPAL, SecretStr(grant.token))

    async def by_project_token(self) -> None:
        project = next(iter(self.cloud.projects.values()))
        grant = self.cloud.grant("team_token", self.cloud.teams[0], project)
        await self.grants.take(LOCAL_PRINCIPAL, SecretStr(grant.token))

    async def by_login(self) -> None:
        await self.grants.teams_of_cli_login()

    async def by_key(self) -> None:
        deployment = next(iter(self.cloud.deployments.values()))
        await self.grants.take(LOCAL_PRINCIPAL, SecretStr(deployment.keys["ours"]))

    async def list_deployments(self) -> None:
        await self.by_token()
        await self.here.projects.list_deployments("shop")

    async def disconnect(self) -> None:
        with suppress(ConvexMcpError):
            await self.by_consent()
        await self.connections.disconnect((await self.connections.look()).connections[0].id)

    async def set_env_var(self) -> None:
        await self.env_vars.set({"GREETING": str(next(_numbers))})


_numbers = count()
CALLS: Mapping[str, Callable[[Desk], Awaitable[object]]] = {
    "token": Desk.by_consent,
    "token_details": Desk.by_token,
    "get_project": Desk.by_project_token,
    "list_teams": Desk.by_login,
    "url_for_key": Desk.by_key,
    "list_deployments": Desk.list_deployments,
    "delete_access_token": Desk.disconnect,
    "deployment_info": Desk.set_env_var,
    "list_environment_variables": Desk.set_env_var,
    "update_environment_variables": Desk.set_env_var,
}
"""What makes each call."""
DEPLOYMENTS = {"deployment_info", "list_environment_variables", "update_environment_variables"}


@pytest.fixture
async def desk(tmp_path) -> AsyncIterator[Desk]:
    retry = Retry(sleep=Naps(), jitter=0)
    async with (
        fake_cloud() as cloud,
        open_data_dir(tmp_path / "data") as store,
        place(store, tmp_path / "app", cloud.url, principal=OWNER[0], workspace=OWNER[1]) as here,
    ):
        deployment = await cloud.add_deployment(cloud.add_project(cloud.add_team(), "shop"))
        deployment.keys["ours"] = f"dev:{deployment.name}|c4n4ryc4n4ry"
        cloud.consent.redirect_uris.add(CALLBACK)
        application = OAuthApplication(
            client_id=cloud.consent.client_id,
            client_secret=SecretStr(cloud.consent.client_secret),
            dashboard_host=cloud.url,
            provision_host=cloud.url,
        )
        oauth = HttpOAuthApi(application, answer_s=1)
        management = HttpManagementApi(cloud.url, dashboard_host=cloud.url, retry=retry, answer_s=1)
        api = HttpDeploymentApi(retry=retry)
        (tmp_path / "config.json").write_text(f'{{"accessToken": "{cloud.grant("login", cloud.teams[0]).token}"}}')
        granting = GrantPorts(
            connections=store.connections,
            flows=store.pages,
            management=management,
            oauth=oauth,
            cli_login=CliLoginFile(tmp_path),
        )
        pages = PageService(store.pages, Links(), owner=OWNER)
        connecting = ConnectionPorts(store=store.connections, api=management)
        sandbox = LocalSandbox(tmp_path / "app", tmp_path / "state", PlainLauncher(), TEMPLATE)
        ports = EnvVarPorts(api=api, sandbox=sandbox, known=KnownEnvVars(here.targets))
        yield Desk(
            cloud=cloud,
            here=here,
            pages=pages,
            connections=ConnectionService(connecting, pages, here.targets, owner=LOCAL_PRINCIPAL),
            grants=GrantService(granting, here.targets, callback_url=CALLBACK),
            env_vars=EnvVarService(ports, here.targets, pages, owner=OWNER),
        )
        for one in (oauth, management, api):
            await one.close()


@pytest.mark.parametrize("step", CALLS)
async def test_each_fault_ends_in_success_or_a_named_error_and_the_next_try_succeeds(step, desk):
    await desk.by_key()
    for name, fault in FAULTS.items():
        if step in DEPLOYMENTS and name in SILENCE:
            continue  # a deployment's own silence is one after ten seconds
        desk.cloud.script(step, fault)
        before = len(desk.cloud.asked(step))

        with anyio.fail_after(60), suppress(ConvexMcpError):
            ended = await CALLS[step](desk)
            if isinstance(ended, Connection):
                assert ended.state in {"connected", "failed"}, name
        assert before < len(desk.cloud.asked(step)), name

        desk.cloud.mend()
        with anyio.fail_after(60):
            ended = await CALLS[step](desk)
        assert not isinstance(ended, Connection) or ended.state == "connected", name
