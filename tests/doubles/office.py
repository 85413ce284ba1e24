"""A server with its pages and a cloud to connect to, as an agent, a person and Convex see it."""

from __future__ import annotations

import json
import re
import socket
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client

from mcp_convex.server import build_server
from mcp_convex.settings import Settings, load
from tests.doubles.cloud import FakeCloud, approve, fake_cloud


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def office_settings(folder: Path, cloud: FakeCloud, *, oauth: bool = True, **environ: str) -> Settings:
    """Return settings for a server below *folder* that takes *cloud* for Convex."""
    (folder / "app").mkdir(parents=True, exist_ok=True)
    hosts = {"PROVISION_HOST": cloud.url, "DASHBOARD_HOST": cloud.url}
    application = {
        "CONVEX_OAUTH_CLIENT_ID": cloud.consent.client_id,
        "CONVEX_OAUTH_CLIENT_SECRET": cloud.consent.client_secret,
    }
    flags = {"workspace": str(folder / "app"), "data_dir": str(folder / "data"), "pages_port": str(free_port())}
    return load(flags, {**hosts, **(application if oauth else {}), **environ})


@dataclass
class Office:
    client: Client
    cloud: FakeCloud
    settings: Settings

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.settings.pages_port}"

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return result.structured_content

    async def link(self, scope: str = "team") -> str:
        return (await self.call("connect", scope=scope))["link"]

    async def connections(self) -> list[dict[str, Any]]:
        return (await self.call("get_connection"))["connections"]

    async def connection(self) -> dict[str, Any]:
        (only,) = await self.connections()
        return only

    async def code(self, tool: str, **arguments: Any) -> str:
        """Return the code of the error that *tool* answers with."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error, result.structured_content
        return result.structured_content["error"]["code"]

    async def consent(self, link: str, choice: str = "acme") -> httpx2.Response:
        """Do all that a person does, and return the page that they see in the end."""
        async with self.browser() as browser:
            return await browser.get(await self.granted(browser, link, choice), follow_redirects=True)

    async def granted(self, browser: Browser, link: str, choice: str = "acme") -> str:
        """Do what a person does up to Convex's consent, and return the URL that Convex sends their browser to."""
        answer = await browser.submit(link, way="oauth")
        assert 303 == answer.status_code, answer.text
        back = await approve(answer.headers["location"], choice)
        assert back
        return back

    async def connect(self, scope: str = "team", choice: str = "acme") -> dict[str, Any]:
        """Connect, and return the connection."""
        link = await self.link(scope)
        assert 200 == (await self.consent(link, choice)).status_code
        return (await self.connections())[0]

    def log_in(self, home: Path) -> None:
        """Let the CLI keep a login in *home* for this cloud, as `npx convex login` does."""
        folder = home / f".convex-test-{self.cloud.url.rpartition(':')[2]}"
        folder.mkdir()
        login = self.cloud.grant("login", self.cloud.teams[0])
        (folder / "config.json").write_text(json.dumps({"accessToken": login.token}))

    def let_time_pass(self) -> None:
        """Let every page and flow that waits be older than its ten minutes."""
        with closing(sqlite3.connect(self.settings.data_dir / "store.db")) as database, database:
            database.execute("UPDATE pages SET expires_at = 1")
            database.execute("UPDATE flows SET expires_at = 1")

    def browser(self) -> Browser:
        return Browser(self.origin)


@asynccontextmanager
async def office(folder: Path, *, oauth: bool = True, mode: str = "auto", **client: Any):
    """Run it all for as long as the block lasts: a team `acme` with a project `shop` in the cloud."""
    async with fake_cloud() as cloud:
        cloud.add_project(cloud.add_team(), "shop")
        settings = office_settings(folder, cloud, oauth=oauth)
        cloud.consent.redirect_uris.add(f"http://localhost:{settings.pages_port}/convex/callback")
        async with Client(build_server(settings), mode=mode, **client) as connected:
            yield Office(connected, cloud, settings)


_CSRF = re.compile(r'name="csrf" value="(\w+)"')


class Browser(httpx2.AsyncClient):
    """A browser without a screen: it keeps cookies, and sends forms with what a real one adds."""

    def __init__(self, origin: str) -> None:
        super().__init__(timeout=20)
        self.origin = origin

    async def submit(self, link: str, *, headers: dict[str, str] | None = None, **fields: str) -> httpx2.Response:
        """Open the page at *link*, and send its form with *fields*."""
        page = await self.get(link)
        assert 200 == page.status_code, page.text
        return await self.send_form(link, csrf=_CSRF.findall(page.text)[0], headers=headers, **fields)

    async def send_form(self, link: str, *, headers: dict[str, str] | None = None, **fields: str) -> httpx2.Response:
        sent = {"Origin": "null", "Sec-Fetch-Site": "same-origin", **(headers or {})}
        return await self.post(link, data=fields, headers=sent)
