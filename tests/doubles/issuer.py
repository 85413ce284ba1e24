"""An issuer on loopback: it signs tokens, publishes its keys, answers about tokens, and misbehaves on request."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.doubles.deployment import served

AUDIENCE = "https://convex.example.test/mcp"
CLIENT = ("mcp-convex", "introspection-secret")
SIGN_IN = ("mcp-convex-pages", "sign-in-secret")
PLACES = {
    "jwks_uri": "keys",
    "authorization_endpoint": "authorize",
    "token_endpoint": "token",
    "registration_endpoint": "register",
}


class FakeIssuer:
    def __init__(self) -> None:
        self.url = ""
        self.keys: dict[str, EllipticCurvePrivateKey] = {}
        self.asked: list[str] = []
        """The paths that were asked for."""
        self.opaque: dict[str, dict[str, Any]] = {}
        """What it says of tokens that it is asked about."""
        self.person = "alice"
        """Who is signed in at every browser that comes."""
        self.codes: dict[str, dict[str, str]] = {}
        """What each code was asked for with."""
        self.id_claims: dict[str, Any] = {}
        """What is wrong with its ID tokens."""
        self.registered: dict[str, dict[str, Any]] = {}
        """What clients said of themselves that came by themselves, by the id that each got."""
        self.misbehave: Callable[[], Response] | None = None
        self.rotate("first")

    def rotate(self, id_: str) -> None:
        """Sign with a new key from now on, and publish no other."""
        self.keys = {id_: generate_private_key(SECP256R1())}

    def token(self, subject: str = "alice", scope: str = "convex", **changed: Any) -> str:
        """Return a token; what is *changed* to None is left out, `headers` go into its header, and `key` signs it."""
        ((id_, key),) = self.keys.items()
        headers = changed.pop("headers", {"kid": id_})
        signed_with = changed.pop("key", key)
        now = int(time.time())
        claims = {
            "iss": self.url,
            "sub": subject,
            "aud": AUDIENCE,
            "exp": now + 300,
            "iat": now,
            "scope": scope,
            "client_id": "chat",
            **changed,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, signed_with, algorithm="ES256", headers=headers)

    async def answer(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        if self.misbehave is not None:
            return self.misbehave()
        match request.url.path:
            case "/.well-known/openid-configuration":
                return JSONResponse({"issuer": self.url} | {name: f"{self.url}/{at}" for name, at in PLACES.items()})
            case "/keys":
                return JSONResponse({"keys": [self._published(id_, key) for id_, key in self.keys.items()]})
            case "/introspect":
                form = await request.form()
                known = self.opaque.get(str(form["token"]))
                return JSONResponse({"active": False} if known is None else {"active": True, **known})
            case _:
                return Response(status_code=404)

    async def authorize(self, request: Request) -> Response:
        """Send the browser back at once, as one at which somebody is signed in."""
        asked = dict(request.query_params)
        assert ("code", "S256") == (asked["response_type"], asked["code_challenge_method"])
        known = self.registered.get(asked["client_id"], {"redirect_uris": [asked["redirect_uri"]], "scope": "openid"})
        assert (known["redirect_uris"], known["scope"]) == ([asked["redirect_uri"]], asked["scope"])
        code = secrets.token_hex(8)
        self.codes[code] = {**asked, "sub": self.person}
        return RedirectResponse(f"{asked['redirect_uri']}?code={code}&state={asked['state']}", 303)

    async def register(self, request: Request) -> Response:
        """Take in a client that has no secret (RFC 7591)."""
        client_id = secrets.token_hex(8)
        self.registered[client_id] = {
            **await request.json(),
            "client_id": client_id,
            "token_endpoint_auth_method": "none",
        }
        return JSONResponse(self.registered[client_id], 201)

    async def redeem(self, request: Request) -> Response:
        """Return tokens for a code, once: an access token for what the client named, or an ID token for the pages."""
        if self.misbehave is not None:
            return self.misbehave()
        form = {name: str(value) for name, value in (await request.form()).items()}
        asked = self.codes.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        if asked is None or not self._knows(form.get("client_id"), request.headers.get("authorization")):
            return JSONResponse({"error": "invalid_grant"}, 400)
        if (asked["redirect_uri"], asked["code_challenge"]) != (form["redirect_uri"], challenge.rstrip("=")):
            return JSONResponse({"error": "invalid_grant"}, 400)
        if (client_id := asked["client_id"]) in self.registered:
            about = {"aud": form["resource"], "client_id": client_id}
            return JSONResponse(
                {"token_type": "Bearer", "access_token": self.token(asked["sub"], asked["scope"], **about)}
            )
        said = {"aud": SIGN_IN[0], "scope": None, "nonce": asked["nonce"], **self.id_claims}
        return JSONResponse({"access_token": "unused", "id_token": self.token(asked["sub"], **said)})

    def _knows(self, client_id: str | None, authorization: str | None) -> bool:
        pages = base64.b64encode(":".join(SIGN_IN).encode()).decode()
        return client_id in self.registered or authorization == f"Basic {pages}"

    @staticmethod
    def _published(id_: str, key: EllipticCurvePrivateKey) -> dict[str, Any]:
        return {**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": id_, "use": "sig", "alg": "ES256"}


@asynccontextmanager
async def fake_issuer() -> AsyncIterator[FakeIssuer]:
    """Run an issuer for the block."""
    issuer = FakeIssuer()
    routes = [
        Route("/authorize", issuer.authorize),
        Route("/register", issuer.register, methods=["POST"]),
        Route("/token", issuer.redeem, methods=["POST"]),
        Route("/{path:path}", issuer.answer, methods=["GET", "POST"]),
    ]
    app = Starlette(routes=routes)
    async with served(app, lambda: None) as issuer.url:
        yield issuer
