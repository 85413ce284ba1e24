"""What the engine's tests share: one bundled app, and live engines on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.engine_client import EngineClient, running_engine
from tests.doubles.projects import MakeProject, bundle, convex_project, write_push

__all__ = ["convex_project"]

APP = Path(__file__).parent / "app"
URLS = {"cloud": "http://127.0.0.1:3210", "site": "http://127.0.0.1:3211"}
ENV = {"GREETING": "hello", "API_KEY": "3"}


def sources_of(folder: Path) -> dict[str, str]:
    """Return a project's sources by path."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.ts")}


@pytest.fixture(scope="session")
def app_bundle(convex_project: MakeProject) -> dict[str, Any]:
    """The body of `start_push` for the app in `app/`."""
    return bundle(convex_project(sources_of(APP)))


@pytest.fixture
def deployment(tmp_path: Path, app_bundle: dict[str, Any]) -> Path:
    """A deployment's folder, with the app pushed as `code/one`."""
    write_push(app_bundle, tmp_path / "code" / "one")
    return tmp_path


async def go_live(engine: EngineClient, root: str = "code/one") -> None:
    """Load what was pushed and open the data."""
    await engine.request("load", root=root, env=ENV, urls=URLS)
    await engine.request("open")


@pytest.fixture
async def engine(deployment: Path) -> AsyncIterator[EngineClient]:
    """A live engine on the app."""
    async with running_engine(deployment) as engine:
        await go_live(engine)
        yield engine
