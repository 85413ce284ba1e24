"""An issuer on loopback: it signs tokens, publishes its keys, answers about tokens, and misbehaves on request."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.doubles.deployment import served

AUDIENCE = "https://convex.example.test/mcp"
CLIENT = ("mcp-convex", "introspection-secret")


class FakeIssuer:
    def __init__(self) -> None:
        self.url = ""
        self.keys: dict[str, EllipticCurvePrivateKey] = {}
        self.asked: list[str] = []
        """The paths that were asked for."""
        self.opaque: dict[str, dict[str, Any]] = {}
        """What it says of tokens that it is asked about."""
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
                return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
            case "/keys":
                return JSONResponse({"keys": [self._published(id_, key) for id_, key in self.keys.items()]})
            case "/introspect":
                form = await request.form()
                known = self.opaque.get(str(form["token"]))
                return JSONResponse({"active": False} if known is None else {"active": True, **known})
            case _:
                return Response(status_code=404)

    @staticmethod
    def _published(id_: str, key: EllipticCurvePrivateKey) -> dict[str, Any]:
        return {**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": id_, "use": "sig", "alg": "ES256"}


@asynccontextmanager
async def fake_issuer() -> AsyncIterator[FakeIssuer]:
    """Run an issuer for the block."""
    issuer = FakeIssuer()
    app = Starlette(routes=[Route("/{path:path}", issuer.answer, methods=["GET", "POST"])])
    async with served(app, lambda: None) as issuer.url:
        yield issuer
