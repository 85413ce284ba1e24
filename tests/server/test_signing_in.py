"""A client that is told nothing but the server's URL finds the issuer, registers there, and has its person sign in."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from tests.doubles.hosting import hosted, hosted_settings
from tests.doubles.office import free_port
from tests.world import World

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def host(tmp_path_factory, issuer, anyio_backend):
    port = free_port()
    where = {"listen_port": str(port), "public_url": f"http://127.0.0.1:{port}/mcp"}
    async with hosted(hosted_settings(tmp_path_factory.mktemp("signing-in"), issuer=issuer.url, **where)) as running:
        yield running


class Kept(TokenStorage):
    """What the client keeps, for as long as it runs."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """Opens what the client shows, and is sent back with a code."""

    def __init__(self) -> None:
        self.back: dict[str, str] = {}

    async def opens(self, url: str) -> None:
        async with httpx2.AsyncClient() as browser:
            answer = await browser.get(url)
        self.back = dict(parse_qsl(urlsplit(answer.headers["location"]).query))

    async def comes_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**self.back)


@pytest.mark.parametrize(("mode", "query"), [("auto", ""), ("legacy", "?workspace=shop")])
async def test_a_client_that_knows_only_the_url_has_its_person_sign_in_and_works(host, issuer, mode, query):
    kept, person, issuer.person = Kept(), Person(), f"alice-{mode}"
    about = OAuthClientMetadata(client_name="An IDE", redirect_uris=["http://127.0.0.1:1/back"])
    sign_in = OAuthClientProvider(f"{host.url}{query}", about, kept, person.opens, person.comes_back)
    async with (
        httpx2.AsyncClient(auth=sign_in, timeout=60) as http,
        Client(streamable_http_client(f"{host.url}{query}", http_client=http), mode=mode) as client,
    ):
        await World(client=client, settings=host.settings, era=mode).write({"convex/whose.ts": f"// {mode}\n"})
    async with host.client(issuer.token(f"alice-{mode}", aud=host.url), mode=mode, query=query) as again:
        assert f"// {mode}\n" == (await again.content("read_file", path="convex/whose.ts"))["content"]

    registered = issuer.registered[kept.client.client_id]
    assert ("An IDE", "convex", "convex") == (registered["client_name"], registered["scope"], kept.tokens.scope)
