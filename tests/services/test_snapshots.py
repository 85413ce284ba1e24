"""Going back, in a workspace from which nothing was pushed yet."""

from __future__ import annotations

import pytest

from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.policy import Policy
from mcp_convex.sandboxes import LocalSandbox
from mcp_convex.services.snapshots import LAST_PUSHED, SnapshotPorts, SnapshotService
from mcp_convex.store import open_data_dir
from tests.doubles.convex_deployment import ConvexDeployment, api_of
from tests.doubles.plain_launcher import PlainLauncher
from tests.doubles.projects import TEMPLATE
from tests.doubles.targets import OWNER, targets_of

pytestmark = pytest.mark.anyio


async def test_where_there_is_no_snapshot_yet_the_next_step_is_a_push(tmp_path):
    deployment = ConvexDeployment()
    sandbox = LocalSandbox(tmp_path / "app", tmp_path / "state", PlainLauncher(), TEMPLATE)
    async with open_data_dir(tmp_path / "data") as store:
        ports = SnapshotPorts(sandbox=sandbox, store=store.snapshots, api=api_of(deployment), on_written=lambda: None)
        snapshots = SnapshotService(ports, targets_of(deployment), Policy(), owner=OWNER)
        for which in (LAST_PUSHED, "00000000"):
            with pytest.raises(NotFound) as caught:
                await snapshots.restore(which)
            assert "call `push`" in caught.value.next_step
