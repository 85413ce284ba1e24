"""All that the suite sent to Convex's double and got from it fits the types that Convex generates from its own API."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import anyio
import pytest

from mcp_convex.store import open_data_dir
from tests.doubles.cloud import fake_cloud
from tests.doubles.npm import installed
from tests.doubles.projects import installed_packages
from tests.doubles.provisioning import place
from tests.doubles.recording import RECORDED, Api, Part

pytestmark = pytest.mark.anyio

OPERATIONS: Mapping[tuple[Api, str], str] = {
    ("management", "token_details"): "get token details",
    ("management", "list_projects"): "list projects",
    ("management", "get_project_by_slug"): "get project by slug",
    ("management", "create_project"): "create project",
    ("management", "create_access_token"): "create team access token",
    ("management", "delete_access_token"): "delete team access token",
    ("management", "list_access_tokens"): "list team access tokens",
    ("management", "get_project"): "get project by id",
    ("management", "list_deployments"): "list deployments",
    ("management", "find_deployment"): "get deployment in project by project id",
    ("management", "create_deployment"): "create deployment",
    ("management", "get_deployment"): "platform_get_deployment",
    ("management", "create_deploy_key"): "create deploy key",
    ("management", "list_deploy_keys"): "list deploy keys",
    ("management", "delete_deploy_key"): "delete deploy key",
    ("deployment", "deployment_info"): "get deployment info",
    ("deployment", "get_canonical_urls"): "get_canonical_urls",
    ("deployment", "list_environment_variables"): "list_environment_variables",
    ("deployment", "update_environment_variables"): "update_environment_variables",
}
"""What the generated types call each step. What is not here is no part of Convex's published API."""
MADE = {"create_access_token": 201}
LOCAL = {
    "request": '["requestBody"]["content"]["application/json"]',
    "query": '["parameters"]["query"]',
    "response": '["responses"][{status}]["content"]["application/json"]',
}
HEAD = """\
import type { operations as management } from "@convex-dev/platform/managementApi";
import type { operations as deployment } from "@convex-dev/platform/deploymentApi";
"""


def declared(recorded: Mapping[tuple[Api, str, Part], set[str]]) -> Iterator[str]:
    """Yield each body as TypeScript that compiles only where it fits: no field is missing, wrong or too many."""
    number = 0
    for (api, step, part), bodies in sorted(recorded.items()):
        if (api, step) not in OPERATIONS:
            continue
        of = LOCAL[part].format(status=MADE.get(step, 200))
        for body in sorted(bodies):
            number += 1
            yield f'export const b{number}: {api}["{OPERATIONS[api, step]}"]{of} = {body};'


async def checked(folder: Path, lines: Iterator[str]) -> str:
    """Return what the TypeScript compiler has to say of *lines*."""
    folder.mkdir()
    (folder / "node_modules").symlink_to(installed("@convex-dev/platform@0.1.10") / "node_modules")
    (folder / "shapes.ts").write_text(HEAD + "\n".join(lines))
    options = {"strict": True, "noEmit": True, "module": "ESNext", "moduleResolution": "Bundler", "types": []}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["shapes.ts"]}))
    compiler = installed_packages() / "node_modules" / "typescript" / "bin" / "tsc"
    with anyio.fail_after(60):
        done = await anyio.run_process(["node", str(compiler), "-p", str(folder), "--pretty", "false"], check=False)
    return done.stdout.decode() + done.stderr.decode()


@pytest.fixture
async def all_calls(tmp_path):
    """Make each call once, for a run of this module alone; the whole suite has made more by now (see conftest)."""
    data, root = tmp_path / "data", tmp_path / "app"
    async with fake_cloud() as cloud, open_data_dir(data) as store, place(store, root, cloud.url) as here:
        await here.connect(cloud, cloud.add_team(), "team_token")
        await here.projects.create_project("Pet shop")
        await here.projects.link_project("pet-shop")
        await here.projects.link_project("pet-shop", "preview/trial", expires_in_hours=24)


async def test_every_body_fits_convexs_own_types(all_calls, tmp_path):
    assert "" == await checked(tmp_path / "check", declared(RECORDED))


@pytest.mark.parametrize(
    ("step", "part", "body"),
    [
        ("create_project", "request", '{"name": "Pet shop"}'),
        ("create_project", "response", '{"id": "1", "projectId": 1, "slug": "a"}'),
        ("create_deployment", "request", '{"type": "development"}'),
        ("create_deployment", "request", '{"type": "dev", "expires": 1}'),
        ("list_projects", "response", '{"items": []}'),
        ("list_projects", "query", '{"page": "1"}'),
        ("token_details", "response", '{"type": "teamToken", "id": 1, "name": "a", "createTime": 1}'),
    ],
)
async def test_a_body_that_does_not_fit_is_found(step, part, body, tmp_path):
    assert "error TS" in await checked(tmp_path / "check", declared({("management", step, part): {body}}))
