"""What is sent to Convex's double and comes from it fits Convex's own types; conftest holds the whole suite to it."""

from __future__ import annotations

import pytest

from mcp_convex.store import open_data_dir
from tests.doubles.cloud import fake_cloud
from tests.doubles.provisioning import place
from tests.doubles.recording import RECORDED
from tests.doubles.wire_shapes import checked

pytestmark = pytest.mark.anyio


@pytest.fixture
async def all_calls(tmp_path):
    """Make each call once."""
    data, root = tmp_path / "data", tmp_path / "app"
    async with fake_cloud() as cloud, open_data_dir(data) as store, place(store, root, cloud.url) as here:
        await here.connect(cloud, cloud.add_team(), "team_token")
        await here.projects.create_project("Pet shop")
        await here.projects.link_project("pet-shop")
        await here.projects.link_project("pet-shop", "preview/trial", expires_in_hours=24)


async def test_every_body_fits_convexs_own_types(all_calls, tmp_path):
    assert "" == checked(tmp_path / "check", RECORDED)


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
def test_a_body_that_does_not_fit_is_found(step, part, body, tmp_path):
    assert "error TS" in checked(tmp_path / "check", {("management", step, part): {body}})
