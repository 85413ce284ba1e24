"""Who may call the hosted server, and how much of it: over real HTTP, with tokens of an issuer."""

from __future__ import annotations

import json
import logging

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from starlette.responses import Response

from mcp_convex.boundary import Effect
from mcp_convex.domain.errors import SettingsInvalid
from mcp_convex.server.access import opened_access
from mcp_convex.tools import TOOLSETS
from tests.doubles.hosting import DISCOVER, HEADERS, INITIALIZE, hosted, hosted_settings, tokens_file
from tests.doubles.issuer import AUDIENCE, CLIENT

pytestmark = pytest.mark.anyio

METADATA = "/.well-known/oauth-protected-resource/mcp"


@pytest.fixture(scope="module")
async def host(tmp_path_factory, issuer, anyio_backend):
    settings = hosted_settings(
        tmp_path_factory.mktemp("access"), issuer=issuer.url, public_url=AUDIENCE, allowed_origins="https://chat.test"
    )
    async with hosted(settings) as running:
        yield running


async def post(host, token: str | None, query: str = "", body: object = DISCOVER, **headers: str) -> httpx2.Response:
    async with host.http(token, **HEADERS, **headers) as http:
        return await http.post(f"{host.url}{query}", json=body)


async def names(host, token: str, mode: str, query: str = "") -> set[str]:
    async with host.client(token, mode=mode, query=query) as world:
        return {tool.name for tool in (await world.client.list_tools()).tools}


async def test_who_brings_no_token_learns_where_to_get_one(host, issuer):
    answer = await post(host, None)

    assert 401 == answer.status_code
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert f'resource_metadata="https://convex.example.test{METADATA}"' in challenge
    async with host.http(None) as http:
        metadata = (await http.get(f"{host.origin}{METADATA}")).json()
    assert AUDIENCE == metadata["resource"]
    assert [issuer.url] == metadata["authorization_servers"]
    assert ["convex"] == metadata["scopes_supported"]


async def test_a_token_for_another_server_is_as_good_as_none(host, issuer):
    assert 401 == (await post(host, issuer.token(aud="https://another.example.test/mcp"))).status_code
    assert 401 == (await post(host, "x" * 20_000)).status_code
    assert 200 == (await post(host, issuer.token())).status_code


async def test_why_a_token_is_refused_is_logged_and_not_what_it_says(host, issuer, caplog):
    token = issuer.token("c4n4ry", aud="https://c4n4ry.example.test/mcp")

    answer = await post(host, token)

    (line,) = [record for record in caplog.records if record.name.startswith("mcp_convex")]
    assert ("token refused: audience, key first", logging.WARNING) == (line.getMessage(), line.levelno)
    assert ("audience", "first") == (line.reason, line.key)
    assert not [said for said in ("c4n4ry", token) if said in caplog.text]
    assert "audience" not in answer.text + str(answer.headers)


async def test_a_token_without_the_scope_is_told_which_it_lacks(host, issuer):
    answer = await post(host, issuer.token(scope="openid"))

    assert 403 == answer.status_code
    assert "insufficient_scope" in answer.headers["www-authenticate"]
    assert "convex" in answer.json()["error_description"]


async def test_while_the_issuer_is_away_no_token_is_called_wrong_and_the_operator_is_told(tmp_path, issuer, caplog):
    settings = hosted_settings(tmp_path, issuer=issuer.url, public_url=AUDIENCE)
    issuer.misbehave = lambda: Response(status_code=502)
    async with hosted(settings) as running:
        answer = await post(running, issuer.token())
    issuer.misbehave = None

    assert (503, "issuer_unreachable") == (answer.status_code, answer.json()["code"])
    assert "retry-after" in answer.headers
    assert "tokens cannot be checked: the issuer's keys cannot be had: the issuer answered 502" in caplog.messages


async def test_only_known_hosts_and_origins_may_be_named(host, issuer):
    token = issuer.token()
    for origin in ("https://evil.example.test", "null", "https://chat.test.evil.test", "https://chat.test:8443"):
        assert 403 == (await post(host, token, Origin=origin)).status_code, origin
    refused = await post(host, token, Host="evil.example.test")
    assert (421, "host_refused") == (refused.status_code, refused.json()["code"])
    assert "MCP_CONVEX_ALLOWED_HOSTS" in refused.json()["next_step"]

    assert 200 == (await post(host, token, Host="convex.example.test")).status_code
    assert 200 == (await post(host, token, Origin="https://chat.test")).status_code
    assert 200 == (await post(host, token, Origin="https://convex.example.test")).status_code  # of the panel


async def test_a_web_page_of_an_allowed_origin_may_call_and_read_what_it_needs(host, issuer):
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,mcp-method"}
    async with host.http(None, Origin="https://chat.test", **asks) as http:
        ahead = await http.options(host.url)
    refused = await post(host, None, Origin="https://chat.test")
    here = await post(host, issuer.token(), Origin="http://localhost:3000")

    assert (200, "https://chat.test") == (ahead.status_code, ahead.headers["access-control-allow-origin"])
    assert "authorization,mcp-method" == ahead.headers["access-control-allow-headers"]
    assert (401, "https://chat.test") == (refused.status_code, refused.headers["access-control-allow-origin"])
    assert "WWW-Authenticate" in refused.headers["access-control-expose-headers"]
    assert (200, None) == (here.status_code, here.headers.get("access-control-allow-origin"))


@pytest.mark.parametrize(
    "query",
    ["?surprise=1", "?read_only=maybe", "?read_only=true&read_only=false", "?toolsets=", "?toolsets=files,production"]
    + [f"?workspace={name}" for name in ("", "..", "a/b", "A", "x" * 25, "%00")],
)
async def test_a_url_that_is_not_understood_is_refused(host, issuer, query):
    answer = await post(host, issuer.token(), query)

    assert (400, "invalid_arguments") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_url_and_the_scopes_narrow_the_surface_and_never_widen_it(host, issuer, mode):
    every = {spec.name for toolset in host.settings.toolsets for spec in TOOLSETS[toolset]}
    files = {spec.name for spec in TOOLSETS["files"]}
    token, of_files = issuer.token(), issuer.token(scope="convex convex:files")

    assert every == await names(host, token, mode)
    assert files == await names(host, token, mode, "?toolsets=files")
    assert files == await names(host, of_files, mode)
    assert files == await names(host, of_files, mode, "?toolsets=files,push")
    assert set() == await names(host, of_files, mode, "?toolsets=push")
    assert {spec.name for spec in TOOLSETS["files"] if spec.effect is Effect.READS} == await names(
        host, of_files, mode, "?read_only=true"
    )
    reading = await names(host, issuer.token(scope="convex convex:read"), mode, "?read_only=false")
    assert "read_file" in reading
    assert not reading & {"write_files", "push", "run_function"}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_what_is_not_offered_cannot_be_called_or_read(host, issuer, mode):
    async with host.client(issuer.token(scope="convex convex:connection"), mode=mode) as world:
        assert "unknown_tool" == await world.code("write_files", changes=[{"path": "convex/a.ts", "content": ""}])
        listed = [str(one.uri) for one in (await world.client.list_resources()).resources]
        listed += [one.uri_template for one in (await world.client.list_resource_templates()).resource_templates]
        assert not [uri for uri in listed if uri.startswith(("convex://schema", "convex://files", "convex://pushes"))]
        for uri in ("convex://schema", "convex://files/convex/a.ts"):
            with pytest.raises(MCPError):
                await world.client.read_resource(uri)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_workspaces_of_one_principal_are_apart(host, issuer, mode):
    for name in ("one", "two"):
        async with host.client(issuer.token(mode), mode=mode, query=f"?workspace={name}") as world:
            await world.write({"convex/which.ts": f"// {name}\n"})
    async with host.client(issuer.token(mode), mode=mode, query="?workspace=one") as world:
        assert "// one\n" == (await world.content("read_file", path="convex/which.ts"))["content"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_pages_that_could_be_phished_are_refused(host, issuer, mode):
    async with host.client(issuer.token(), mode=mode) as world:
        assert "cannot_ask" == await world.code("connect")
        assert [] == (await world.content("get_connection"))["connections"]


async def test_a_session_is_of_no_use_to_another_principal(host, issuer):
    old = {"Accept": HEADERS["Accept"]}
    async with host.http(issuer.token("alice"), **old) as alice, host.http(issuer.token("mallory"), **old) as mallory:
        begun = await alice.post(host.url, json=INITIALIZE)
        session = {"Mcp-Session-Id": begun.headers["mcp-session-id"]}
        listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}

        assert 404 == (await mallory.post(host.url, json=listing, headers=session)).status_code
        assert 404 == (await mallory.delete(host.url, headers=session)).status_code
        assert 200 == (await alice.post(host.url, json=listing, headers=session)).status_code


@pytest.mark.parametrize("size", [5 * 2**20])
async def test_bodies_are_bounded(host, issuer, size):
    assert 413 == (await post(host, issuer.token(), body={"x": "y" * size})).status_code


async def test_health_is_told_to_everybody_and_says_nothing(host):
    async with host.http(None, Host="10.0.0.1") as http:
        answers = [await http.get(f"{host.origin}/{path}") for path in ("healthz", "readyz")]

    assert [(200, "alive\n"), (200, "ready\n")] == [(answer.status_code, answer.text) for answer in answers]


@pytest.mark.parametrize(
    "flags",
    [
        {"listen_host": "0.0.0.0"},  # noqa: S104 - it must not come to that
        {"listen_host": "::"},
        {"public_url": "https://convex.example.test/mcp"},
        {"issuer": "https://issuer.example.test"},
        {
            "issuer": "https://issuer.example.test",
            "public_url": AUDIENCE,
            "introspection_url": "https://issuer.example.test/introspect",
        },
        {"isolation": "none"},
    ],
    ids=json.dumps,
)
async def test_settings_that_would_let_strangers_in_are_refused(tmp_path, flags):
    with pytest.raises(ExceptionGroup) as refused:
        async with hosted(hosted_settings(tmp_path, **flags)):
            pass
    (only,) = refused.value.exceptions
    assert only.code in {"settings_invalid", "isolation_unavailable"}


@pytest.mark.parametrize(
    "flags",
    [
        {"audience": AUDIENCE},
        {"jwks_url": "https://issuer.example.test/keys"},
        {"introspection_url": "https://issuer.example.test/introspect", "audience": AUDIENCE},
        {"introspection_client_id": CLIENT[0]},
        {"introspection_client_id": CLIENT[0], "issuer": "https://issuer.example.test", "public_url": AUDIENCE},
    ],
    ids=json.dumps,
)
@pytest.mark.parametrize("other", ["", "tokens_file"])
async def test_what_would_be_left_aside_without_an_issuer_is_refused_at_the_start(tmp_path, flags, other):
    file, _ = tokens_file(tmp_path, "alice")
    with pytest.raises(SettingsInvalid) as refused:
        async with opened_access(hosted_settings(tmp_path, **flags, **({other: str(file)} if other else {}))):
            pass
    said = f"{refused.value.message} {refused.value.next_step}"
    assert all(f"MCP_CONVEX_{name.upper()}" in said for name in flags.keys() - {"issuer", "public_url"})
    assert "leave" in refused.value.next_step


@pytest.mark.parametrize(
    ("environ", "flags"),
    [({"MCP_CONVEX_SIGN_IN_CLIENT_SECRET": "given"}, {}), ({}, {"sign_in_client_id": "pages"})],
    ids=["without its id", "without its secret"],
)
async def test_half_of_a_client_that_signs_browsers_in_is_refused_at_the_start(tmp_path, environ, flags):
    whole = {"issuer": "https://issuer.example.test", "public_url": AUDIENCE}
    settings = hosted_settings(tmp_path, {**environ, "CONVEX_OAUTH_CLIENT_ID": "an-id"}, **whole, **flags)
    with pytest.raises(SettingsInvalid, match="Pages need"):
        async with opened_access(settings):
            pass


async def test_tokens_of_a_file_and_of_an_issuer_are_good_side_by_side(tmp_path, issuer):
    file, tokens = tokens_file(tmp_path, "alice")
    settings = hosted_settings(tmp_path, issuer=issuer.url, public_url=AUDIENCE, tokens_file=str(file))
    async with hosted(settings) as running:
        assert 200 == (await post(running, tokens["alice"])).status_code
        assert 200 == (await post(running, issuer.token())).status_code
        assert 401 == (await post(running, "another")).status_code


async def test_tokens_that_are_no_jwts_are_asked_about(tmp_path, issuer):
    settings = hosted_settings(
        tmp_path,
        {"MCP_CONVEX_INTROSPECTION_CLIENT_SECRET": CLIENT[1]},
        issuer=issuer.url,
        public_url=AUDIENCE,
        introspection_url=f"{issuer.url}/introspect",
        introspection_client_id=CLIENT[0],
    )
    issuer.opaque["opaque"] = {"sub": "alice", "aud": AUDIENCE, "scope": "convex"}
    async with hosted(settings) as running:
        assert 200 == (await post(running, "opaque")).status_code
        assert 401 == (await post(running, "unknown")).status_code
