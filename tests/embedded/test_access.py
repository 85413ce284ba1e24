"""Who may do what: the admin key, people's tokens, foreign hosts and origins."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.doubles.embedded import CHAT, Running, running

pytestmark = pytest.mark.anyio

SIGNING = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(SIGNING.public_key())), "kid": "k1", "use": "sig"}
JWKS = json.dumps({"keys": [PUBLIC]})
INLINE = "data:text/plain;base64," + base64.b64encode(JWKS.encode()).decode()

AUTH_CONFIG = f"""
export default {{ providers: [
  {{ type: "customJwt", applicationID: "app", issuer: "https://issuer.test", jwks: "{INLINE}", algorithm: "RS256" }},
  {{ domain: process.env.CONVEX_SITE_URL, applicationID: "convex" }},
] }};
"""
OWN_ISSUER = f"""
import {{ httpRouter }} from "convex/server";
import {{ httpAction }} from "./_generated/server";
const http = httpRouter();
const answer = (value: unknown) => httpAction(async () => Response.json(value));
declare const process: {{ env: Record<string, string> }};
http.route({{ path: "/.well-known/openid-configuration", method: "GET", handler: httpAction(async () => Response.json({{
  issuer: process.env.CONVEX_SITE_URL, jwks_uri: process.env.CONVEX_SITE_URL + "/.well-known/jwks.json",
}})) }});
http.route({{ path: "/me", method: "GET", handler: httpAction(async (ctx) =>
  Response.json((await ctx.auth.getUserIdentity())?.subject ?? null)) }});
http.route({{ path: "/.well-known/jwks.json", method: "GET", handler: answer({JWKS}) }});
export default http;
"""


@pytest.fixture(scope="module")
async def chat(tmp_path_factory, anyio_backend) -> AsyncIterator[Running]:
    sources = {**CHAT, "convex/auth.config.ts": AUTH_CONFIG, "convex/http.ts": OWN_ISSUER}
    async with running(tmp_path_factory.mktemp("access"), sources) as deployment:
        pushed = await deployment.push()
        assert 0 == pushed.code, pushed.said
        yield deployment


def token(**claims: Any) -> str:
    standard = {"iss": "https://issuer.test", "sub": "ada", "aud": "app", "exp": time.time() + 60}
    return jwt.encode({**standard, **claims}, SIGNING, algorithm="RS256", headers={"kid": "k1"})


async def me(chat: Running, bearer: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {bearer}"}
    return await chat.http.post("/api/query", json={"path": "messages:me", "args": {}}, headers=headers)


async def test_a_wrong_key_is_refused_everywhere_and_not_repeated(chat: Running) -> None:
    wrong = {"Authorization": "Convex main|0123456789abcdef"}
    answers = [
        await chat.http.get("/api/v1/get_canonical_urls", headers=wrong),
        await chat.http.get("/api/v1/list_environment_variables", headers=wrong),
        await chat.http.get("/api/stream_function_logs?cursor=0", headers=wrong),
        await chat.http.post("/api/query", json={"path": "messages:list", "args": {}}, headers=wrong),
        await chat.http.post("/api/deploy2/start_push", json={"adminKey": "main|0123456789abcdef"}),
        await chat.http.post("/api/run_test_function", json={"adminKey": "main|0123456789abcdef"}),
    ]

    for answer in answers:
        assert 401 == answer.status_code
        assert "BadDeployKey" == answer.json()["code"]
        assert "The provided deploy key was invalid for deployment 'main'" == answer.json()["message"]


async def test_the_cli_names_a_wrong_key(chat: Running) -> None:
    command = ["dev", "--once", "--url", chat.reach.target.url, "--admin-key", "main|0123456789abcdef"]
    ended = await chat.node("node_modules/convex/dist/cli.bundle.cjs", *command)

    assert 1 == ended.code
    assert "401 Unauthorized: BadDeployKey: The provided deploy key was invalid for deployment 'main'" in ended.said


async def test_no_key_and_a_persons_token_do_not_open_what_is_for_admins(chat: Running) -> None:
    async with httpx2.AsyncClient(base_url=chat.reach.target.url) as nobody:
        without = await nobody.get("/api/v1/list_environment_variables")
        internal = (await nobody.post("/api/query", json={"path": "messages:hidden", "args": {}})).json()
        system = await nobody.post("/api/query", json={"path": "_system/cli/queryEnvironmentVariables", "args": {}})
        public = (await nobody.post("/api/query", json={"path": "messages:list", "args": {}})).json()
    person = await chat.http.get("/api/v1/get_canonical_urls", headers={"Authorization": f"Bearer {token()}"})

    assert (401, 403, 403) == (without.status_code, person.status_code, system.status_code)
    assert ("error", "success") == (internal["status"], public["status"])
    assert "Could not find public function" in internal["errorMessage"]


async def test_the_key_lies_in_a_file_of_its_owner_and_in_no_other(chat: Running) -> None:
    holding = [
        file.name for file in chat.folder.rglob("*") if file.is_file() and chat.key.encode() in file.read_bytes()
    ]

    assert ["admin-key"] == holding
    assert 0o600 == (chat.folder / "admin-key").stat().st_mode & 0o777
    assert 0o700 == chat.folder.stat().st_mode & 0o777
    assert chat.key not in repr(chat.reach)


async def test_a_token_of_a_provider_says_who_calls(chat: Running) -> None:
    found = (await me(chat, token(name="Ada", given_name="A", role="admin"))).json()["value"]

    assert ("ada", "https://issuer.test") == (found["subject"], found["issuer"])
    assert "https://issuer.test|ada" == found["tokenIdentifier"]
    assert ("Ada", "A", "admin") == (found["name"], found["givenName"], found["role"])


async def test_the_app_itself_can_be_the_issuer(chat: Running) -> None:
    found = (await me(chat, token(iss=chat.reach.target.site_url, aud="convex", sub="u|s"))).json()["value"]

    assert "u|s" == found["subject"]


async def test_an_http_action_knows_who_calls_and_takes_any_other_header(chat: Running) -> None:
    async with httpx2.AsyncClient(base_url=chat.reach.target.site_url or "") as page:
        known = await page.get("/me", headers={"Authorization": f"Bearer {token()}"})
        other = await page.get("/me", headers={"Authorization": "Basic eDp5"})

    assert ("ada", None) == (known.json(), other.json())


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": 1}, "InvalidAuthHeader"),
        ({"iss": "https://other.test"}, "NoAuthProvider"),
        ({"aud": "other"}, "NoAuthProvider"),
    ],
)
async def test_a_token_that_nobody_vouches_for_is_refused(chat: Running, claims: dict[str, Any], code: str) -> None:
    answer = await me(chat, token(**claims))

    assert (401, code) == (answer.status_code, answer.json()["code"])


async def test_a_forged_token_is_refused(chat: Running) -> None:
    forger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    claims = {"iss": "https://issuer.test", "sub": "ada", "aud": "app", "exp": time.time() + 60}
    forged = jwt.encode(claims, forger, algorithm="RS256", headers={"kid": "k1"})
    unsigned = jwt.encode(claims, None, algorithm="none")

    for bearer in (forged, unsigned, "no.jwt.at-all"):
        answer = await me(chat, bearer)
        assert (401, "InvalidAuthHeader") == (answer.status_code, answer.json()["code"])


async def test_a_name_that_was_made_to_point_here_is_refused(chat: Running) -> None:
    for url in (chat.reach.target.url, chat.reach.target.site_url):
        async with httpx2.AsyncClient(base_url=url or "") as page:
            rebound = await page.get("/version", headers={"Host": "evil.example"})
        assert 400 == rebound.status_code


async def test_a_page_of_any_origin_may_call_public_functions(chat: Running) -> None:
    asked = {
        "Origin": "http://localhost:5173",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,convex-client",
    }
    async with httpx2.AsyncClient(base_url=chat.reach.target.url) as page:
        allowed = await page.options("/api/query", headers=asked)
        called = await page.post(
            "/api/query", json={"path": "messages:list", "args": {}}, headers={"Origin": "http://localhost:5173"}
        )

    assert 200 == allowed.status_code
    assert "convex-client" in allowed.headers["access-control-allow-headers"]
    assert "*" == called.headers["access-control-allow-origin"]
