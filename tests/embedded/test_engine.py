"""Supervising one engine: deadlines, refusals, and what is told to whoever waits."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from mcp_convex.domain.errors import EngineFailed
from mcp_convex.embedded.engine import Engine, EngineRefused, Engines, Event
from mcp_convex.embedded.places import Place
from tests.doubles.plain_launcher import PlainLauncher

pytestmark = pytest.mark.anyio

LOOP = """
const loop = () => { for (;;); };
loop.isAction = true; loop.isPublic = true; loop.isConvexFunction = true;
loop.exportArgs = () => '{"type":"any"}'; loop.exportReturns = () => '{"type":"any"}'; loop.invokeAction = loop;
export const forever = loop;
"""


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    module = {"path": "loop.js", "file": "app/functions/loop.js", "environment": "isolate"}
    app = {"definitionPath": "", "udfServerVersion": "1.48.0", "dependencies": [], "definition": None, "schema": None}
    root = tmp_path / "engine" / "code" / "p"
    (root / "app" / "functions").mkdir(parents=True)
    (root / module["file"]).write_text(LOOP)
    (root / "package.json").write_text('{"type": "module"}')
    manifest = {"functions": "convex/", "app": {**app, "modules": [module]}, "components": []}
    (root / "push.json").write_text(json.dumps(manifest))
    async with anyio.create_task_group() as tasks:
        yield await Engines(PlainLauncher(), Place(tmp_path), tasks, ignore).take()
        tasks.cancel_scope.cancel()


def ignore(_: Engine, __: Event) -> None:
    pass


async def test_a_call_that_does_not_end_is_cut_off_with_its_engine(engine: Engine) -> None:
    urls = {"cloud": "http://127.0.0.1:1", "site": "http://127.0.0.1:2"}
    await engine.call("load", root="code/p", env={}, urls=urls, deadline_s=10)
    await engine.call("open", deadline_s=10)
    with anyio.fail_after(60), pytest.raises(EngineFailed, match=r"within 0\.5 s"):
        await engine.call("run", kind="action", path="loop:forever", args={}, deadline_s=0.5)

    assert engine.ended
    with pytest.raises(EngineFailed, match="ended"):
        await engine.call("ping", deadline_s=1)


async def test_whoever_waits_is_told_when_the_engine_dies(engine: Engine) -> None:
    failures: list[EngineFailed] = []

    async def wait() -> None:
        try:
            await engine.call("load", root="code/p", env={}, urls={}, deadline_s=10)
        except EngineFailed as failure:
            failures.append(failure)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        await engine.kill()

    assert ["ended while the call was under way" in failure.message for failure in failures] == [True]


async def test_a_request_that_makes_no_sense_is_refused_with_a_code(engine: Engine) -> None:
    with pytest.raises(EngineRefused) as refused:
        await engine.call("nonsense", deadline_s=10)

    assert "BadRequest" == refused.value.code
