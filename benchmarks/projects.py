"""What is measured: the demo's chat backend in the server's workspace, and in a project as Convex's tools make one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from mcp import Client

from mcp_convex.domain.ports import Reach
from mcp_convex.server import build_server, open_services
from mcp_convex.settings import Settings, load

TYPESCRIPT = "5.9"
"""What a new Convex project has."""
TEMPLATE = Path(__file__).parent.parent / "sandbox_template"


@dataclass(frozen=True)
class Bench:
    """A running server with its workspace, and a vanilla project beside it; both push to one deployment."""

    client: Client
    """Each of its pushes starts a CLI of its own."""
    armed: Client
    """Of a server that keeps one waiting, with a workspace and a deployment of its own."""
    armed_workspace: Path
    settings: Settings
    reach: Reach
    vanilla: Path
    folder: Path


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[Bench]:
    """Make both projects below *folder*, push once, and keep the server open."""
    settings, armed = _settings(folder / "ours", armed_pushes=False), _settings(folder / "armed", armed_pushes=True)
    # Opened first, these services serve the deployment; the client's find it served, as a second window's would.
    async with open_services(settings) as services:
        reach = await services.targets.reach()
        async with Client(build_server(settings)) as client, Client(build_server(armed)) as waiting:
            for each in (client, waiting):
                await _pushed(each)
            yield Bench(client, waiting, armed.workspace, settings, reach, vanilla(folder / "vanilla"), folder)


def _settings(workspace: Path, *, armed_pushes: bool) -> Settings:
    workspace.mkdir()
    data = workspace.with_name(f"{workspace.name}-data")
    return load({"workspace": str(workspace), "data_dir": str(data), "armed_pushes": armed_pushes}, {})


async def _pushed(client: Client) -> None:
    changes = [{"path": path, "content": text} for path, text in sources().items()]
    await client.call_tool("write_files", {"changes": changes})
    await client.call_tool("push", {})


def sources() -> dict[str, str]:
    """Return the chat backend's files, without the demo's mistake."""
    chat = files("mcp_convex.demo").joinpath("chat")
    texts = {f"convex/{file.name}": file.read_text() for file in chat.iterdir()}
    texts["convex/messages.ts"] = texts["convex/messages.ts"].replace('+ "1"', "+ 1")
    return texts


def vanilla(folder: Path) -> Path:
    """Make a project as Convex's own tools make one, with the chat backend in it."""
    packages = {"convex": "1.48.0", "typescript": TYPESCRIPT}
    (folder / "convex").mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": "vanilla", "private": True, "dependencies": packages}))
    for path, text in sources().items():
        (folder / path).write_text(text)
    tsconfig = (TEMPLATE / "convex" / "tsconfig.json").read_text()
    # A new project has no types of Node, and TypeScript 5.9 looks for none by itself.
    (folder / "convex" / "tsconfig.json").write_text(tsconfig.replace('"types": ["node"]', '"types": []'))
    npm = shutil.which("npm") or "npm"
    subprocess.run([npm, "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=folder, check=True)
    return folder
