"""Sandboxes over throwaway directories, in each isolation mode."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest

from mcp_convex.domain.models import FilePath, IsolationMode
from mcp_convex.domain.ports import Command, Ended
from mcp_convex.domain.pushes import Stage
from mcp_convex.sandboxes import ConfinedLauncher, LocalSandbox
from mcp_convex.store import open_data_dir
from mcp_convex.store.store import Store
from tests.doubles.e2b.cloud import E2BCloud
from tests.doubles.e2b.opening import loopback_e2b
from tests.doubles.projects import TEMPLATE, make_project

OpenSandbox = Callable[..., LocalSandbox]
MODES: tuple[IsolationMode, ...] = ("none", "landlock", "bwrap", "strict")
TSCONFIG = (TEMPLATE / "convex/tsconfig.json").read_text()


@pytest.fixture(params=MODES)
def mode(request) -> IsolationMode:
    return request.param


@pytest.fixture(params=[mode for mode in MODES if mode != "none"])
def confining(request) -> IsolationMode:
    """A mode in which the kernel itself keeps a program from other files."""
    return request.param


@pytest.fixture
async def open_sandbox(tmp_path) -> AsyncIterator[OpenSandbox]:
    opened: list[LocalSandbox] = []
    socket = tmp_path / "gate.sock"
    socket.touch()

    def open_one(
        root: Path,
        mode: IsolationMode = "none",
        *,
        state: str = "state",
        template: Path = TEMPLATE,
        npm_env: Mapping[str, str] | None = None,
    ) -> LocalSandbox:
        launcher = ConfinedLauncher(mode)
        sandbox = LocalSandbox(root, tmp_path / state, launcher, template, gate_socket=lambda: socket, npm_env=npm_env)
        opened.append(sandbox)
        return sandbox

    yield open_one
    for sandbox in opened:
        await sandbox.close()


@pytest.fixture
def project(tmp_path) -> Callable[..., Path]:
    """Make a project with the real packages out of its sources, in a folder beside which secrets may lie."""

    def make(sources: Mapping[str, str] | None = None) -> Path:
        return make_project(tmp_path / "work" / "app", {"convex/tsconfig.json": TSCONFIG, **(sources or {})})

    return make


@pytest.fixture(scope="session")
async def cloud(tmp_path_factory, anyio_backend) -> AsyncIterator[E2BCloud]:
    async with loopback_e2b(tmp_path_factory.mktemp("boxes")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
async def store(tmp_path_factory, anyio_backend) -> AsyncIterator[Store]:
    async with open_data_dir(tmp_path_factory.mktemp("data")) as store:
        yield store


async def run(sandbox: LocalSandbox, *argv: str, deadline_s: float = 60, keep: tuple[str, ...] = ()) -> Ended:
    """Run *argv* in *sandbox*."""
    command = Command(argv=argv, deadline_s=deadline_s, env={"CI": "1"}, keep=tuple(map(FilePath, keep)))
    return await sandbox.exec(command, on_output=ignore)


def ignore(_: str) -> None:
    """Take output that a test does not look at."""


async def no_progress(_: Stage) -> None:
    """Take stages that a test does not look at."""
