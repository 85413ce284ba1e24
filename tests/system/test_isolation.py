"""The main job in each isolation, through the real server and CLI; and an app that has an older convex of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mcp_convex.settings import Settings, load
from tests.doubles.npm import installed
from tests.system.processes import until_gone
from tests.system.spawning import spawned
from tests.world import APP, World, make_settings

pytestmark = pytest.mark.anyio

OLDEST_CONVEX = "1.40.0"


async def does_the_main_job(world: World) -> str:
    """Write, push, run and read, and return the isolation that the push reports."""
    await world.write(APP)
    pushed = await world.content("push")
    assert "pushed" == pushed["outcome"], pushed
    await world.content("run_function", name="notes:add", args={"text": "kept", "rank": 1})
    assert "kept" == (await world.content("read_table", table="notes"))["documents"][0]["text"]
    return pushed["isolation"]


@pytest.mark.parametrize(("mode", "armed"), [("none", False), ("landlock", True), ("bwrap", False), ("strict", True)])
async def test_the_main_job_is_done_in_each_isolation_and_it_is_reported(tmp_path, mode, armed):
    async with spawned(make_settings(tmp_path, isolation=mode, armed_pushes=armed)) as world:
        assert mode == await does_the_main_job(world)
        assert mode == (await world.content("check_files"))["isolation"]
    await until_gone(tmp_path)


async def test_an_app_with_an_older_convex_is_pushed_with_it_and_keeps_its_files(tmp_path):
    settings = older_app(tmp_path)
    kept = {path: path.read_bytes() for path in settings.workspace.rglob("*.json") if "node_modules" not in path.parts}

    async with spawned(settings) as world:
        assert "bwrap" == await does_the_main_job(world)

    assert kept == {path: path.read_bytes() for path in kept}
    assert OLDEST_CONVEX == json.loads((settings.workspace / "node_modules/convex/package.json").read_text())["version"]


def older_app(folder: Path) -> Settings:
    """Return settings for an app that was begun long ago, with the packages that it has had since."""
    packages = installed(f"convex@{OLDEST_CONVEX}")
    app = folder / "app"
    (app / "convex").mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(packages / name, app / name)
    (app / "node_modules").symlink_to(packages / "node_modules")
    (app / "convex/tsconfig.json").write_text(json.dumps(TSCONFIG))
    (app / "convex.json").write_text('{"functions": "convex/"}')
    return load({"workspace": str(app), "data_dir": str(folder / "data")}, {})


TSCONFIG = {
    "compilerOptions": {
        "strict": True,
        "skipLibCheck": True,
        "target": "ESNext",
        "lib": ["ES2021", "dom"],
        "module": "ESNext",
        "moduleResolution": "Bundler",
        "noEmit": True,
    },
    "include": ["./**/*"],
    "exclude": ["./_generated"],
}
