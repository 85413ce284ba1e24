"""The embedded deployments of this machine, one a workspace, each started when it is first needed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import anyio
from anyio.abc import TaskGroup, TaskStatus

from mcp_convex.domain.errors import ConvexMcpError, PortInUse
from mcp_convex.domain.models import Target, WorkspaceId
from mcp_convex.domain.ports import EmbeddedDeployments, Launcher, Reach
from mcp_convex.domain.secrets import AdminKeyValue
from mcp_convex.embedded import durable
from mcp_convex.embedded.auth import load_or_make
from mcp_convex.embedded.places import LOOPBACK, Place, Urls, locked, remembered_urls

logger = logging.getLogger(__name__)

_FOLDER_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
_OTHER_STARTS_S = 10.0


def _nowhere(_: WorkspaceId) -> None:
    """Say that a workspace has no npm packages on this machine."""


class LocalEmbeddedDeployments(EmbeddedDeployments):
    """
    Serves deployments in this process's own event loop, within `async with`.

    Where another process already serves a workspace's deployment, that one is used.
    """

    def __init__(
        self,
        data_dir: Path,
        launcher: Launcher,
        *,
        admin_key: AdminKeyValue | None = None,
        node_modules: Callable[[WorkspaceId], Path | None] = _nowhere,
        port: int | None = None,
    ) -> None:
        """
        Keep everything below *data_dir*.

        Args:
            node_modules: Says where a workspace's npm packages are.
            port: Where the deployment answers; None for the port that it had before, or one that is free.
        """
        self._data_dir = data_dir.absolute()
        self._launcher = launcher
        self._admin_key = admin_key
        self._node_modules = node_modules
        self._port = port
        self._starting = anyio.Lock()
        self._served: dict[WorkspaceId, Reach] = {}
        self._tasks: TaskGroup = anyio.create_task_group()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tasks.cancel_scope.cancel()
        # What ended the block is not the group's: given to it, it would come out wrapped in an ExceptionGroup.
        await self._tasks.__aexit__(None, None, None)

    async def ensure(self, workspace: WorkspaceId) -> Reach:
        async with self._starting:
            if reach := self._served.get(workspace):
                return reach
            started: Reach | ConvexMcpError = await self._tasks.start(self._serve, workspace)
            if isinstance(started, ConvexMcpError):
                raise started
            return started

    def serves(self, workspace: WorkspaceId) -> bool:
        """Whether it is this process that serves *workspace*'s deployment."""
        return workspace in self._served

    async def _serve(self, workspace: WorkspaceId, *, task_status: TaskStatus[Reach | ConvexMcpError]) -> None:
        """Serve until this server ends. What goes wrong here is the deployment's, and not this server's, end."""
        name = _name(workspace)
        try:
            folder = durable.make_folder(self._data_dir / "embedded" / name)
            with locked(folder) as ours:
                # Where another process starts the deployment for the first time, it has made the key once it answers.
                elsewhere = None if ours else await _served_elsewhere(folder)
                key = self._admin_key or load_or_make(folder / "admin-key", name)
                if elsewhere:
                    task_status.started(_reach(name, elsewhere, key))
                    return
                # Starlette and uvicorn take a quarter of a second to load, and a start of the server none.
                from mcp_convex.embedded.serving import serving  # noqa: PLC0415

                place = Place(folder, self._node_modules(workspace), self._port)
                async with serving(name, place, key, self._launcher) as urls:
                    self._served[workspace] = _reach(name, urls, key)
                    task_status.started(self._served[workspace])
                    await anyio.sleep_forever()
        except Exception as exc:  # a task group's may hold anything; once it served, its fault must not end the server
            failure = _leaf(exc)
            if self._served.pop(workspace, None):
                logger.error("the embedded deployment %s ended: %s", name, type(failure).__name__)  # noqa: TRY400
            elif isinstance(failure, ConvexMcpError):
                task_status.started(failure)
            else:
                raise
        finally:
            self._served.pop(workspace, None)


async def serve(
    deployments: LocalEmbeddedDeployments, workspace: WorkspaceId, on_ready: Callable[[Reach], None]
) -> None:
    """
    Serve *workspace*'s deployment, one of *deployments*, until cancelled, and call *on_ready* once it answers.

    Raises:
        PortInUse: Its port is taken, or another process already serves it.
        ToolMissing: There is no Node, or it is too old.
    """
    async with deployments:
        reach = await deployments.ensure(workspace)
        if not deployments.serves(workspace):
            raise PortInUse(
                f"Another process already serves this workspace's embedded deployment, at {reach.target.url}.",
                next_step="Use that one, or end the process that serves it.",
            )
        on_ready(reach)
        await anyio.sleep_forever()


def _leaf(exc: Exception) -> Exception:
    """Return the error that a task group has wrapped, perhaps more than once."""
    if isinstance(exc, ExceptionGroup):
        return _leaf(cast("ExceptionGroup[Exception]", exc).exceptions[0])
    return exc


def _name(workspace: WorkspaceId) -> str:
    """Return what the deployment is called: the workspace's id where that can be a folder, else a hash of it."""
    if _FOLDER_NAME.fullmatch(workspace):
        return workspace
    return f"local-{hashlib.sha256(workspace.encode()).hexdigest()[:16]}"


def _reach(name: str, urls: Urls, key: AdminKeyValue) -> Reach:
    return Reach(Target(kind="embedded", name=name, type="dev", url=urls.cloud, site_url=urls.site), key)


async def _served_elsewhere(folder: Path) -> Urls:
    """Return where another process serves *folder*'s deployment, waiting for it to come up."""
    with anyio.move_on_after(_OTHER_STARTS_S):
        while True:
            if urls := remembered_urls(folder):
                with contextlib.suppress(OSError):
                    stream = await anyio.connect_tcp(LOOPBACK, int(urls.cloud.rpartition(":")[2]))
                    await stream.aclose()
                    return urls
            await anyio.sleep(0.05)
    raise PortInUse(
        "Another process holds this workspace's embedded deployment, and does not answer.",
        next_step="End the other mcp-convex process, then try again.",
    )
