"""A hosted server on a loopback port, and clients of it that bring a token each."""

from __future__ import annotations

import base64
import copy
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports import Reach
from mcp_convex.server.adapters import open_the_store
from mcp_convex.server.hosted import serve
from mcp_convex.server.place import make_place
from mcp_convex.settings import Settings, load
from tests.doubles.cloud import FakeCloud
from tests.doubles.issuer import AUDIENCE, SIGN_IN, FakeIssuer
from tests.doubles.office import free_port
from tests.doubles.projects import make_project
from tests.world import TSCONFIG, World

DISCOVER = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "server/discover",
    "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    },
}
HEADERS = {
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "server/discover",
}
"""Of a request as small as the sessionless era has one."""
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
"""What begins a session of the handshake era."""


@dataclass
class Hosted:
    settings: Settings
    url: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict)
    stopping: anyio.Event = field(default_factory=anyio.Event)

    @property
    def origin(self) -> str:
        return self.url.removesuffix("/mcp")

    def furnish(self, principal: str, workspace: str = "default") -> Path:
        """Lay out a workspace whose packages are installed, and return it."""
        place = make_place(self.settings, PrincipalId(principal), workspace)
        return make_project(place.root, {"convex/tsconfig.json": TSCONFIG})

    async def link(self, principal: str, reach: Reach, workspace: str = "default") -> None:
        """Make the deployment at *reach* the target of a workspace, as if its person had linked it."""
        place = make_place(self.settings, PrincipalId(principal), workspace)
        async with open_the_store(self.settings) as store:
            await store.targets.put(*place.owner, reach)

    def http(self, token: str | None, **headers: str) -> httpx2.AsyncClient:
        """Return an HTTP client that brings *token*."""
        bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx2.AsyncClient(headers={**bearer, **headers}, timeout=60)

    @asynccontextmanager
    async def client(self, token: str | None, *, mode: str = "auto", query: str = "") -> AsyncIterator[World]:
        """Connect the Python SDK's client with *token*."""
        async with (
            self.http(token) as http,
            Client(streamable_http_client(f"{self.url}{query}", http_client=http), mode=mode) as client,
        ):
            yield World(client=client, settings=self.settings, era=mode)

    async def tool(self, token: str, name: str, arguments: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """Call a tool as a client of the sessionless era does that can show links, and return the whole answer."""
        request = copy.deepcopy(DISCOVER) | {"method": "tools/call"}
        request["params"] |= {"name": name, "arguments": arguments or {}, **more}
        request["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {"url": {}}}
        async with self.http(token, **HEADERS | {"Mcp-Method": "tools/call", "Mcp-Name": name}) as http:
            answer = await http.post(self.url, json=request)
        assert answer.status_code < 500, answer.text
        text = answer.text
        return json.loads(text.splitlines()[-1].removeprefix("data: ") if "data: " in text else text)


def hosted_settings(folder: Path, environ: Mapping[str, str] | None = None, **flags: str) -> Settings:
    """Return settings for a server below *folder*, at a port that is free."""
    return load({"data_dir": str(folder / "data"), "listen_port": "0", **flags}, environ or {})


def consenting(folder: Path, cloud: FakeCloud, issuer: FakeIssuer | None = None, **flags: str) -> Settings:
    """
    Return settings for a server with a public URL, and with an OAuth application at *cloud*.

    Its callers and their browsers are known by *issuer*, where there is one.
    """
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    cloud.consent.redirect_uris.add(f"{origin}/convex/callback")
    environ = {
        "PROVISION_HOST": cloud.url,
        "DASHBOARD_HOST": cloud.url,
        "CONVEX_OAUTH_CLIENT_ID": cloud.consent.client_id,
        "CONVEX_OAUTH_CLIENT_SECRET": cloud.consent.client_secret,
        "MCP_CONVEX_ENCRYPTION_KEYS": base64.b64encode(os.urandom(32)).decode(),
    }
    if issuer is not None:
        environ["MCP_CONVEX_SIGN_IN_CLIENT_SECRET"] = SIGN_IN[1]
        flags |= {"issuer": issuer.url, "audience": AUDIENCE, "sign_in_client_id": SIGN_IN[0]}
    return hosted_settings(folder, environ, listen_port=str(port), public_url=f"{origin}/mcp", **flags)


@asynccontextmanager
async def hosted(settings: Settings, tokens: Mapping[str, str] | None = None) -> AsyncIterator[Hosted]:
    """Serve for the block, in this process."""
    running = Hosted(settings, tokens=tokens or {})
    ready = anyio.Event()

    def on_ready(url: str) -> None:
        running.url = url
        ready.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve, settings, running.stopping, on_ready)
        await ready.wait()
        try:
            yield running
        finally:
            running.stopping.set()


@asynccontextmanager
async def hosted_with_pages(folder: Path, issuer: FakeIssuer, cloud: FakeCloud) -> AsyncIterator[Hosted]:
    """Serve principals of *issuer* for the block, with pages where they sign in and connect to *cloud*."""
    cloud.add_project(cloud.add_team(), "shop")
    async with hosted(consenting(folder, cloud, issuer)) as running:
        yield running


def tokens_file(folder: Path, *names: str, scopes: str = "") -> tuple[Path, dict[str, str]]:
    """Write a file with a token for each of *names*, and return it with the tokens."""
    tokens = {name: secrets.token_hex(24) for name in names}
    file = folder / "tokens"
    file.write_text("".join(f"{name} {token} {scopes}\n" for name, token in tokens.items()))
    file.chmod(0o600)
    return file, tokens
