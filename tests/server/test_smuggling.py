"""Requests that a proxy and this server could read differently: refused, and nothing behind them is answered."""

from __future__ import annotations

import pytest

from tests.doubles.hosting import hosted, hosted_settings, tokens_file
from tests.doubles.raw import exchange

pytestmark = pytest.mark.anyio

SMUGGLED = "GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"
CALL = "POST /api/convex/disconnect HTTP/1.1\r\nHost: {host}\r\n{bearer}"
LOOK = "GET /api/convex/status HTTP/1.1\r\nHost: {host}\r\n{bearer}"
AMBIGUOUS = {
    "a length and chunks": CALL + "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a length and chunks that agree": CALL
    + "Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",
    "two lengths": CALL + "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{{}}" + SMUGGLED,
    "a length with a sign": CALL + "Content-Length: +2\r\n\r\n{{}}" + SMUGGLED,
    "an unknown coding": CALL + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunks twice": CALL + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a space before the colon": CALL + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a chunk of no size": CALL + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n" + SMUGGLED,
    "a folded header": LOOK + "X-One: 1\r\n X-Two: 2\r\n\r\n" + SMUGGLED,
    "a folded credential": LOOK.replace("{bearer}", "Authorization: Bearer\r\n {token}\r\n") + "\r\n" + SMUGGLED,
    "a folded header in the second request": LOOK + "\r\n" + LOOK + "X-One: 1\r\n\tX-Two: 2\r\n\r\n" + SMUGGLED,
    "lines that end with LF": LOOK.replace("\r\n", "\n") + "\n" + SMUGGLED,
    "a CR within a value": LOOK + "X-One: 1\rX-Two: 2\r\n\r\n" + SMUGGLED,
    "a NUL within a value": LOOK + "X-One: 1\0\r\n\r\n" + SMUGGLED,
    "two hosts": LOOK + "Host: evil.example.test\r\n\r\n" + SMUGGLED,
    "a host with a name behind it": LOOK.replace("{host}", "{host}@evil.example.test") + "\r\n" + SMUGGLED,
    "a host that goes on": LOOK.replace("{host}", "{host}.evil.example.test") + "\r\n" + SMUGGLED,
    "no host": LOOK.replace("Host: {host}\r\n", "") + "\r\n" + SMUGGLED,
    "two credentials": LOOK + "Authorization: Bearer another\r\n\r\n" + SMUGGLED,
    "two origins": LOOK + "Origin: http://{host}\r\nOrigin: https://evil.example.test\r\n\r\n" + SMUGGLED,
    "two types": CALL + "Content-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}",
}


@pytest.fixture(scope="module")
async def host(tmp_path_factory, anyio_backend):
    folder = tmp_path_factory.mktemp("smuggling")
    file, tokens = tokens_file(folder, "alice")
    async with hosted(hosted_settings(folder, tokens_file=str(file)), tokens) as running:
        yield running


def written(host, request: str) -> bytes:
    token = host.tokens["alice"]
    bearer = f"Authorization: Bearer {token}\r\n"
    return request.format(host=host.origin.removeprefix("http://"), bearer=bearer, token=token).encode()


@pytest.mark.parametrize("request_", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_what_could_be_read_in_two_ways_is_refused_and_ends_the_connection(host, request_):
    answer = await exchange(host.origin, written(host, request_))

    expected = [200, 400] if request_.count("GET /api") > 1 else [400]
    assert (expected, True) == (answer.statuses, answer.closed), answer.received
    assert host.tokens["alice"].encode() not in answer.received


@pytest.mark.parametrize(
    "more",
    [
        "X-Forwarded-Host: evil.example.test\r\nForwarded: host=evil.example.test\r\n",
        "X-Original-URL: /mcp\r\nX-Rewrite-URL: /mcp\r\nX-HTTP-Method-Override: POST\r\n",
        "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-User: bob\r\nX-Remote-User: bob\r\n",
    ],
)
async def test_what_only_a_proxy_may_say_counts_for_nothing(host, more):
    plain = await exchange(host.origin, written(host, LOOK + "Connection: close\r\n\r\n"))
    said = await exchange(host.origin, written(host, LOOK + more + "Connection: close\r\n\r\n"))

    assert [200] == plain.statuses == said.statuses
    assert plain.received.partition(b"\r\n\r\n")[2] == said.received.partition(b"\r\n\r\n")[2]
    assert b"evil" not in said.received


@pytest.mark.parametrize("target", ["http://evil.example.test/api/convex/status", "//evil.example.test/mcp", "*"])
async def test_a_target_that_names_another_server_is_not_found_here(host, target):
    answer = await exchange(
        host.origin, written(host, LOOK.replace("/api/convex/status", target) + "Connection: close\r\n\r\n")
    )

    assert [404] == answer.statuses
    assert b"evil" not in answer.received
