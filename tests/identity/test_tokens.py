"""Tokens of an issuer, good and bad, and an issuer that rotates its keys, is away or talks nonsense."""

from __future__ import annotations

import base64
import json
import time

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from pydantic import SecretStr
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from mcp_convex.domain.identity import CannotJudge, Identity
from mcp_convex.identity.asking import LARGEST_ANSWER, Issuer
from mcp_convex.identity.keys import Freshness, IssuerKeys
from mcp_convex.identity.tokens import Introspected, Jwts
from tests.doubles.issuer import AUDIENCE, CLIENT

pytestmark = pytest.mark.anyio

NONSENSE = {
    "an error": lambda: Response(status_code=500),
    "no JSON": lambda: PlainTextResponse("<html>"),
    "another shape": lambda: PlainTextResponse('{"keys": [1, {"kty": "RSA"}]}'),
    "a list": lambda: PlainTextResponse("[]"),
    "a redirect": lambda: RedirectResponse("http://127.0.0.1:1/keys"),
    "no end": lambda: PlainTextResponse(" " * (LARGEST_ANSWER + 1)),
}


@pytest.fixture(autouse=True)
def nothing_happened_yet(issuer):
    issuer.asked.clear()
    issuer.opaque.clear()
    issuer.misbehave = None
    issuer.rotate("first")


@pytest.fixture(scope="module")
async def http(anyio_backend):
    client = Issuer()
    yield client
    await client.aclose()


def jwts(issuer, http, **freshness: float) -> Jwts:
    patience = Freshness(**{"pause_s": 0, **freshness})
    return Jwts(issuer.url, AUDIENCE, IssuerKeys(issuer.url, None, http, patience))


def introspected(issuer, http) -> Introspected:
    client = CLIENT[0], SecretStr(CLIENT[1])
    return Introspected((issuer.url, AUDIENCE), f"{issuer.url}/introspect", client, http)


async def identify(check, token: str):
    return await check.identify(SecretStr(token))


async def test_a_good_token_says_whose_it_is(issuer, http):
    identity = await identify(jwts(issuer, http), issuer.token("alice", "convex convex:read"))

    assert f"{issuer.url} alice" == identity.principal
    assert {"convex", "convex:read"} == identity.scopes
    assert "chat" == identity.client
    assert ["/.well-known/openid-configuration", "/keys"] == issuer.asked


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"aud": "https://another.example.test/mcp"}, "audience"),
        ({"aud": None}, "claims"),
        ({"iss": "https://another.example.test"}, "issuer"),
        ({"sub": None}, "claims"),
        ({"sub": "a" * 256}, "claims"),
        ({"sub": "alice\n"}, "claims"),
        ({"sub": 7}, "claims"),
        ({"exp": float("inf")}, "malformed"),
        ({"exp": None}, "claims"),
        ({"exp": 1}, "expired"),
        ({"nbf": 4_000_000_000}, "not_yet_valid"),
        pytest.param({"key": generate_private_key(SECP256R1())}, "signature", id="another key-signature"),
        ({"headers": {"kid": "unknown"}}, "unknown_key"),
        ({"headers": {"kid": "first", "crit": ["b64"], "b64": False}}, "malformed"),
        ({"scope": {"not": "a scope"}}, "claims"),
    ],
    ids=str,
)
async def test_a_token_that_is_not_for_this_server_now_is_nobodys(issuer, http, changed, reason):
    refused = await identify(jwts(issuer, http), issuer.token(**changed))

    assert (reason, changed.get("headers", {}).get("kid", "first")) == (refused.reason, refused.key)


async def test_tokens_of_the_wrong_kind_are_nobodys_and_the_issuer_is_not_asked(issuer, http):
    check = jwts(issuer, http)
    deep = base64.urlsafe_b64encode(b"[" * 5000).decode()
    shared = jwt.encode({"iss": issuer.url, "aud": AUDIENCE, "sub": "alice", "exp": 2**40}, "k" * 32)
    bare = jwt.encode({"iss": issuer.url, "aud": AUDIENCE, "sub": "alice", "exp": 2**40}, None, algorithm="none")

    assert ["algorithm"] * 2 == [(await identify(check, token)).reason for token in (shared, bare)]
    for token in ("", ".", "a.b.c", f"{deep}.e30.x", "ümlaut", "\0"):
        assert "malformed" == (await identify(check, token)).reason
    named = jwt.encode({"sub": "alice"}, "k" * 32, headers={"kid": "\x1b[2J what a caller says"})
    assert ("algorithm", None) == ((refused := await identify(check, named)).reason, refused.key)
    assert [] == issuer.asked


FAR_S = 15 * 60
"""Far enough from a minute for the slowest machine."""


@pytest.mark.parametrize(
    ("off_s", "refused"),
    [
        ({"exp": -1}, None),
        ({"nbf": 50}, None),
        ({"iat": 50}, None),
        ({"iat": 50, "nbf": 50, "exp": 51}, None),
        ({"exp": -61}, "expired"),
        ({"nbf": FAR_S}, "not_yet_valid"),
        ({"iat": FAR_S}, "not_yet_valid"),
        ({"iat": FAR_S, "nbf": FAR_S, "exp": 2 * FAR_S}, "not_yet_valid"),
    ],
    ids=str,
)
async def test_clocks_may_differ_by_a_minute(issuer, http, off_s, refused):
    claims = {name: int(time.time()) + seconds for name, seconds in off_s.items()}
    issuer.opaque["opaque"] = {"sub": "alice", "aud": AUDIENCE, **claims}

    judged = [
        await identify(jwts(issuer, http), issuer.token(**claims)),
        *([] if "iat" in off_s else [await identify(introspected(issuer, http), "opaque")]),
    ]

    assert {refused} == {getattr(one, "reason", None) for one in judged}


async def test_a_token_that_was_good_is_so_until_it_ends_and_no_longer(issuer, http):
    check = jwts(issuer, http)
    await identify(check, issuer.token())  # the keys are fetched
    token = issuer.token(exp=int(time.time()) - 57)
    assert "alice" == (await identify(check, token)).subject
    assert "signature" == (await identify(check, f"{token[:-4]}AAAA")).reason

    with anyio.fail_after(60):
        while isinstance(judged := await identify(check, token), Identity):
            await anyio.lowlevel.checkpoint()
    assert "expired" == judged.reason


async def test_a_rotated_key_is_fetched_when_first_named_and_the_former_is_good_no_more(issuer, http):
    check = jwts(issuer, http, fresh_s=0.001)
    former = issuer.token()
    assert "alice" == (await identify(check, former)).subject

    issuer.rotate("second")

    assert "alice" == (await identify(check, issuer.token())).subject
    assert "unknown_key" == (await identify(check, former)).reason


async def test_unknown_keys_do_not_make_this_server_a_flood(issuer, http):
    check = jwts(issuer, http, pause_s=60)
    await identify(check, issuer.token())

    for number in range(20):
        assert "unknown_key" == (await identify(check, issuer.token(headers={"kid": f"made up {number}"}))).reason
    assert 1 == issuer.asked.count("/keys")


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_known_keys_outlast_an_issuer_that_is_away(issuer, http, nonsense):
    check = jwts(issuer, http, fresh_s=0)
    token = issuer.token()
    assert "alice" == (await identify(check, token)).subject

    issuer.misbehave = NONSENSE[nonsense]

    assert "alice" == (await identify(check, token)).subject
    with pytest.raises(CannotJudge):
        await identify(check, issuer.token(headers={"kid": "new"}))
    issuer.misbehave = None
    assert "alice" == (await identify(check, token)).subject


@pytest.mark.parametrize("nonsense", NONSENSE)
async def test_without_keys_nobody_is_judged(issuer, http, nonsense):
    issuer.misbehave = NONSENSE[nonsense]
    check = jwts(issuer, http)

    with pytest.raises(CannotJudge):
        await identify(check, issuer.token())
    issuer.misbehave = None
    assert "alice" == (await identify(check, issuer.token())).subject


async def test_keys_are_not_believed_for_ever(issuer, http):
    check = jwts(issuer, http, fresh_s=0, kept_s=0)
    issuer.misbehave = NONSENSE["an error"]

    with pytest.raises(CannotJudge):
        await identify(check, issuer.token())


async def test_metadata_of_another_issuer_is_not_believed(issuer, http):
    metadata = {"issuer": "https://another.example.test", "jwks_uri": f"{issuer.url}/keys"}
    issuer.misbehave = lambda: PlainTextResponse(json.dumps(metadata))

    with pytest.raises(CannotJudge):
        await identify(jwts(issuer, http), issuer.token())


async def test_a_token_that_is_no_jwt_is_asked_about_once(issuer, http):
    check = introspected(issuer, http)
    issuer.opaque["opaque"] = {"sub": "alice", "aud": [AUDIENCE, "another"], "scope": "convex", "exp": 2**40}

    for _ in range(3):
        assert f"{issuer.url} alice" == (await identify(check, "opaque")).principal
    assert "inactive" == (await identify(check, "unknown")).reason
    assert ["/introspect"] * 2 == issuer.asked


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"aud": "another"}, "audience"),
        ({"aud": None}, "claims"),
        ({"iss": "https://another.example.test"}, "issuer"),
        ({"exp": 1}, "expired"),
        ({"exp": "soon"}, "claims"),
        ({"sub": "\0"}, "claims"),
        ({"sub": None}, "claims"),
        ({"active": "true"}, "inactive"),
    ],
    ids=str,
)
async def test_what_the_issuer_says_of_a_token_has_to_be_for_this_server(issuer, http, changed, reason):
    issuer.opaque["opaque"] = {"sub": "alice", "aud": AUDIENCE, "scope": "convex", "exp": 2**40, **changed}

    assert reason == (await identify(introspected(issuer, http), "opaque")).reason


async def test_an_issuer_that_is_away_judges_nobody_and_is_asked_again(issuer, http):
    check = introspected(issuer, http)
    issuer.opaque["opaque"] = {"sub": "alice", "aud": AUDIENCE}
    issuer.misbehave = NONSENSE["an error"]
    with pytest.raises(CannotJudge):
        await identify(check, "opaque")

    issuer.misbehave = None

    assert "alice" == (await identify(check, "opaque")).subject
