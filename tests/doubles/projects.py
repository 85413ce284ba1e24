"""Real Convex projects for tests: the template's packages, installed once a machine, and the CLI's bundles."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.npm import PACKAGE_FILES, installed_from

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "sandbox_template"
BUNDLE_TIMEOUT_S = 120

MakeProject = Callable[[Mapping[str, str]], Path]
"""Makes a project of the sources given, such as `{"convex/messages.ts": "…"}`, and returns its folder."""


@pytest.fixture(scope="session")
def convex_project(tmp_path_factory: pytest.TempPathFactory) -> MakeProject:
    """Make real projects, with the real CLI and the convex package in `node_modules`."""
    return lambda sources: make_project(tmp_path_factory.mktemp("project") / "app", sources)


def installed_packages() -> Path:
    """Return a folder whose `node_modules` holds what `sandbox_template` locks."""
    return installed_from(TEMPLATE)


def make_project(folder: Path, sources: Mapping[str, str]) -> Path:
    """Write *sources* (paths below the project, such as `convex/messages.ts`) into *folder*, beside the packages."""
    packages = installed_packages()
    folder.mkdir(parents=True, exist_ok=True)
    for name in PACKAGE_FILES:
        shutil.copy(packages / name, folder / name)
    (folder / "node_modules").symlink_to(packages / "node_modules")
    for path, text in sources.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def bundle(project: Path) -> dict[str, Any]:
    """Return the body of `start_push` that the real CLI makes of *project*, with no server and no key."""
    cli = project / "node_modules" / "convex" / "dist" / "cli.bundle.cjs"
    out = project / "push_request"
    command = [
        "node",
        str(cli),
        "deploy",
        "--write-push-request",
        str(out),
        "--push-all-modules",
        "--typecheck",
        "disable",
    ]
    command += ["--url", "http://127.0.0.1:1", "--admin-key", "none"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(project), "CI": "1"}
    done = subprocess.run(  # noqa: S603
        command, cwd=project, env=environment, check=False, capture_output=True, text=True, timeout=BUNDLE_TIMEOUT_S
    )
    assert out.with_suffix(".json").exists(), done.stderr
    body: dict[str, Any] = json.loads(out.with_suffix(".json").read_text())
    return body


def write_push(request: Mapping[str, Any], root: Path) -> None:
    """Lay the pushed modules out below *root* as the engine reads them, with push.json."""
    app = request["appDefinition"]
    manifest = {
        "functions": request["functions"],
        "app": _write_definition(root, "app", {**app, "definitionPath": "", "functions": app["changedModules"]}),
        "components": [
            _write_definition(root, f"component{number}", component)
            for number, component in enumerate(request["componentDefinitions"])
        ],
    }
    (root / "package.json").write_text('{"type": "module"}')
    (root / "push.json").write_text(json.dumps(manifest))


def _write_definition(root: Path, folder: str, definition: Mapping[str, Any]) -> dict[str, Any]:
    def write(module: Mapping[str, Any] | None, part: str) -> dict[str, str] | None:
        if module is None:
            return None
        file = f"{folder}/{part}/{module['path']}"
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(module["source"])
        if "sourceMap" in module:
            (root / f"{file}.map").write_text(module["sourceMap"])
        return {"path": module["path"], "file": file, "environment": module["environment"]}

    return {
        "definitionPath": definition["definitionPath"],
        "udfServerVersion": definition["udfServerVersion"],
        "dependencies": definition["dependencies"],
        "definition": write(definition["definition"], "definition"),
        "schema": write(definition["schema"], "schema"),
        "modules": [write(module, "functions") for module in definition["functions"]],
    }
