"""Servers of one name whose clocks differ: what one of them has made is good at another, for as long as it should."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from mcp.server.request_state import AESGCMRequestStateCodec

from mcp_convex.server.desks import make_seal
from mcp_convex.services.pages import TICKET_LIFE
from mcp_convex.web.hosted_pages import TICKET
from tests.doubles.backend import said
from tests.doubles.cloud import fake_cloud
from tests.doubles.hosting import consenting, hosted
from tests.doubles.office import Browser

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def host(tmp_path_factory, issuer, anyio_backend):
    async with (
        fake_cloud() as convex,
        hosted(consenting(tmp_path_factory.mktemp("clocks"), convex, issuer, vouching_clients="chat")) as running,
    ):
        yield running


@pytest.mark.parametrize(("off_s", "is_good"), [(-500, True), (-45, True), (45, True), (-900, False), (900, False)])
async def test_what_a_client_carries_between_rounds(host, issuer, off_s, is_good):
    alice = issuer.token("alice")
    codec = AESGCMRequestStateCodec(host.settings.derived_keys(b"request state"))
    claims = json.loads(codec.unseal((await host.tool(alice, "connect"))["result"]["requestState"]))
    made = codec.seal(json.dumps(claims | {name: claims[name] + off_s for name in ("iat", "exp")}).encode())

    answer = await host.tool(alice, "connect", requestState=made, inputResponses={"page": {"action": "decline"}})

    if is_good:
        assert "declined" == answer["result"]["structuredContent"]["error"]["code"]
    else:
        assert {"reason": "invalid_request_state"} == answer["error"]["data"]


@pytest.mark.parametrize(("off_s", "is_good"), [(-125, True), (45, True), (-900, False)])
async def test_a_ticket(host, issuer, off_s, is_good):
    """It ends by the database's clock, too: one that is good here for longer is used up in time all the same."""
    asked = (await said(host, issuer.token(f"ada{off_s}"), "connect"))["url"]
    seal = make_seal(host.settings)
    (ticket,) = parse_qs(urlsplit(asked).query)[TICKET]
    handle = seal.open(TICKET, ticket)["handle"]
    made = seal.close(TICKET, int(TICKET_LIFE.total_seconds()) + off_s, handle=handle)
    async with Browser(host.origin) as browser:
        opened = await browser.get(asked.replace(ticket, made))
        again = await browser.get(asked)

    assert ((303, 403) if is_good else (403, 303)) == (opened.status_code, again.status_code)
