"""A chat that shows MCP Apps with the official bridge, as a page; what its app asks goes on to a client."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import anyio.to_thread
from mcp import Client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tests.doubles.deployment import served
from tests.doubles.npm import installed

_BRIDGE = Path(__file__).with_name("app_host.mjs")
_BUNDLER = "node_modules/@esbuild/linux-x64/bin/esbuild"
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'none'"
"""What the specification of MCP Apps lets an app do that asks for no more."""
_PAGE = """<!doctype html><title>A chat</title><h1>A chat</h1>
<iframe sandbox="allow-scripts" title="The panel" style="width: 100%"></iframe>
<script type="module" src="/host.js"></script>"""


@asynccontextmanager
async def app_host(client: Client, uri: str) -> AsyncIterator[str]:
    """Serve a chat that shows the app at *uri* of *client*'s server, and return its URL."""
    bundle = await anyio.to_thread.run_sync(_bundled)

    async def app(_: Request) -> Response:
        html = (await client.read_resource(uri)).contents[0].text
        return HTMLResponse(
            html.replace("<head>", f'<head><meta http-equiv="Content-Security-Policy" content="{_POLICY}">')
        )

    async def relay(request: Request) -> Response:
        asked = json.loads(await request.body())
        return JSONResponse(await _answer(client, asked["method"], asked["params"]))

    routes = [
        Route("/", lambda _: HTMLResponse(_PAGE)),
        Route("/host.js", lambda _: Response(bundle, media_type="text/javascript")),
        Route("/panel.html", app),
        Route("/relay", relay, methods=["POST"]),
    ]
    async with served(Starlette(routes=routes), lambda: None) as url:
        yield url


async def _answer(client: Client, method: str, params: dict[str, Any]) -> Any:
    if method == "tools/call":
        result = await client.call_tool(params["name"], params.get("arguments"))
    else:
        result = await client.read_resource(params["uri"])
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


@cache
def _bundled() -> bytes:
    folder = installed("@modelcontextprotocol/ext-apps@2.0.4")
    entry = folder / "app_host.mjs"
    entry.write_bytes(_BRIDGE.read_bytes())
    command = [folder / _BUNDLER, entry, "--bundle", "--format=esm", "--platform=browser", "--log-level=error"]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout  # noqa: S603
