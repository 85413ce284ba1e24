"""Where a task is played: a workspace, a deployment, the server, a person and the outside world, all of its own."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client

from benchmarks.evals.deployment import Deployment
from benchmarks.evals.fitting import shown
from benchmarks.evals.hands import Hands
from benchmarks.evals.holding import Judge
from benchmarks.evals.person import ScriptedPerson
from benchmarks.evals.tasks import Task
from mcp_convex.domain.models import WorkspaceId
from mcp_convex.domain.ports import Reach
from mcp_convex.embedded import LocalEmbeddedDeployments
from mcp_convex.sandboxes import ConfinedLauncher
from mcp_convex.server import build_server, open_services
from mcp_convex.server.place import find_asset
from mcp_convex.settings import Settings, load
from tests.doubles.office import free_port
from tests.doubles.outside import service_that_says
from tests.resources.workspaces import make_workspace

HTTP_TIMEOUT_S = 30


@dataclass(frozen=True)
class Stage:
    """A task's world."""

    client: Client
    hands: Hands
    judge: Judge
    known: dict[str, Any]
    """What a script or a hold may name."""
    secrets: tuple[str, ...]
    """What no transcript may hold."""


@asynccontextmanager
async def opened(task: Task, folder: Path) -> AsyncGenerator[Stage]:
    """Open what *task* needs below *folder*, and close it all on the way out."""
    settings = _settings(folder)
    person = ScriptedPerson(task.person, f"http://localhost:{settings.pages_port}")
    async with AsyncExitStack() as stack:
        reach = await _reached(task, settings, stack)
        known: dict[str, Any] = {}
        if task.outside is not None:
            known["outside"] = await stack.enter_async_context(service_that_says(task.outside))
        http = await stack.enter_async_context(httpx2.AsyncClient(timeout=HTTP_TIMEOUT_S))
        client = await stack.enter_async_context(Client(build_server(settings), elicitation_callback=person.answer))
        deployment = Deployment(reach, http)
        judge = Judge(deployment, settings.workspace, known)
        yield Stage(client, Hands(client), judge, known, (deployment.secret, *task.person.types.values()))


def _settings(folder: Path) -> Settings:
    workspace = make_workspace(folder / "app")
    (workspace / "convex").mkdir()
    shutil.copy(find_asset("sandbox_template") / "convex/tsconfig.json", workspace / "convex")
    places = {"workspace": str(workspace), "data_dir": str(folder / "data"), "pages_port": str(free_port())}
    return load(places, {})


async def _reached(task: Task, settings: Settings, stack: AsyncExitStack) -> Reach:
    """Return the task's deployment, served; the client's server finds it served, as a second window's would."""
    services = await stack.enter_async_context(open_services(settings))
    if task.linked:
        elsewhere = LocalEmbeddedDeployments(settings.data_dir.with_name("elsewhere"), ConfinedLauncher())
        theirs = await (await stack.enter_async_context(elsewhere)).ensure(WorkspaceId("elsewhere"))
        await services.targets.link(theirs.target.url, theirs.credential)
    return await services.targets.reach()


async def set_up(task: Task, stage: Stage) -> str | None:
    """Make what the agent finds; return why that cannot be made, if it cannot."""
    for state in task.start:
        changes = [{"path": path, "content": text} for path, text in state.files.items()]
        await stage.client.call_tool("write_files", {"changes": changes})
        pushed = await stage.client.call_tool("push", {})
        if (pushed.structured_content or {}).get("outcome") != "pushed":
            return f"the start does not push: {shown(pushed.structured_content)}"
        if misfits := await stage.judge.misfits(state.rows):
            return f"the start has not its rows: {'; '.join(misfits)}"
    return None
