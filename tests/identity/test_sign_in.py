"""Signing in with an issuer, as far as a stranger gets who only begins."""

from __future__ import annotations

import pytest
from pydantic import SecretStr
from starlette.responses import Response

from mcp_convex.domain.identity import CannotJudge
from mcp_convex.identity.asking import Issuer
from mcp_convex.identity.keys import Freshness, IssuerKeys
from mcp_convex.identity.sign_in import OpenIdSignIn
from tests.doubles.issuer import SIGN_IN

pytestmark = pytest.mark.anyio


async def test_who_begins_again_and_again_does_not_make_this_server_a_flood(issuer):
    http = Issuer()
    client = SIGN_IN[0], SecretStr(SIGN_IN[1])
    asked = http, IssuerKeys(issuer.url, None, http, Freshness())
    sign_in = OpenIdSignIn(issuer.url, client, "http://127.0.0.1/convex/signed-in", asked)
    issuer.misbehave = lambda: Response(status_code=502)
    with pytest.raises(CannotJudge):
        await sign_in.begin()
    issuer.misbehave = None
    issuer.asked.clear()

    begun = [await sign_in.begin() for _ in range(20)]

    assert ["/.well-known/openid-configuration"] == issuer.asked
    assert 20 == len({(way.state, way.nonce, way.verifier) for way in begun})
    await http.aclose()
