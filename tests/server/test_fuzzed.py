"""Whatever is sent to the hosted server is answered, and never by a fault of its own."""

from __future__ import annotations

import json
import os
import random
from logging import ERROR

import anyio
import httpx2
import pytest

from tests.doubles.cloud import fake_cloud
from tests.doubles.hosting import DISCOVER, HEADERS, consenting, hosted, tokens_file
from tests.doubles.raw import exchange

pytestmark = pytest.mark.anyio

REQUESTS = int(os.environ.get("FUZZED", "1000"))
"""`make soak` sends ten times as many."""
DAMAGED = REQUESTS // 2
"""Requests whose very bytes are not HTTP's any more."""
SCRAPS = [
    "",
    "\0",
    "null",
    "[]",
    "{}",
    "-1",
    "1e999",
    '"',
    "{" * 300,
    "[" * 3000,
    "\ud83d\ude00",
    "../..",
    "%00",
    "a" * 5000,
]
METHODS = ["initialize", "tools/list", "tools/call", "resources/read", "prompts/get", "server/discover", "ping", "x/y"]
PATHS = [
    "/mcp",
    "/mcp",
    "/mcp",
    "/mcp/",
    "/",
    "/healthz",
    "/convex/pages/x",
    "/convex/connect",
    "/convex/callback",
    "/.well-known/oauth-protected-resource/mcp",
    *(f"/api/convex/{name}" for name in ("connect", "status", "disconnect", "dev/stop", "x")),
]
QUERIES = [
    "",
    "",
    "?workspace=fuzz",
    "?read_only=1",
    "?x",
    "?workspace=%ff&toolsets=,",
    "?toolsets=files",
    "?ticket=a.b.c",
    "?state=%00&code=x",
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\0",
    b" ",
    b":",
    b";",
    b"\xff",
    b"\r\n ",
    b"{",
    b"Host: x\r\n",
    b"Transfer-Encoding: chunked\r\n",
]


def value(rng: random.Random, depth: int = 0) -> object:
    kinds = ["scrap", "number", "none", "true", *(["list", "object"] if depth < 3 else [])]
    match rng.choice(kinds):
        case "scrap":
            return rng.choice(SCRAPS)
        case "number":
            return rng.choice([0, -1, 2**63, 2**200, 0.1])
        case "list":
            return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
        case "object":
            return {
                rng.choice([*SCRAPS, "name", "uri", "_meta"]): value(rng, depth + 1) for _ in range(rng.randrange(4))
            }
        case kind:
            return kind == "true" or None


def body(rng: random.Random) -> bytes:
    match rng.randrange(4):
        case 0:
            return rng.randbytes(rng.randrange(200))
        case 1:
            return rng.choice(SCRAPS).encode("utf-8", "surrogatepass")
        case 2:
            return json.dumps(value(rng)).encode()
        case _:
            request = {**DISCOVER, "method": rng.choice(METHODS)}
            request[rng.choice(["params", "id", "jsonrpc", "method"])] = value(rng)
            return json.dumps(request).encode()


def request(rng: random.Random, origin: str, token: str) -> httpx2.Request:
    headers = {"Content-Type": "application/json", **HEADERS, "Authorization": f"Bearer {token}"}
    headers["Mcp-Method"] = rng.choice(METHODS)
    for name in rng.sample([*headers, "Mcp-Session-Id", "Last-Event-ID", "Origin", "Host"], rng.randrange(3)):
        headers[name] = rng.choice(["", "x" * 3000, "2025-11-25", "1", "Bearer", "*/*", "text/plain", "a b, c;q=x"])
    method = rng.choice(["POST"] * 6 + ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
    url = f"{origin}{rng.choice(PATHS)}{rng.choice(QUERIES)}"
    return httpx2.Request(method, url, headers=headers, content=body(rng))


def written(rng: random.Random, origin: str, token: str) -> bytes:
    """Return the bytes of a request that are damaged in a few places."""
    sent = request(rng, origin, token)
    sent.headers["Connection"] = "close"
    lines = [f"{sent.method} {sent.url.raw_path.decode()} HTTP/1.1".encode()]
    lines += [b"%b: %b" % header for header in sent.headers.raw]
    raw = bytearray(b"\r\n".join(lines) + b"\r\n\r\n" + sent.content)
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(raw))
        match rng.randrange(4):
            case 0:
                raw[at] = rng.randrange(256)
            case 1:
                raw[at:at] = rng.choice(PIECES)
            case 2:
                del raw[at : at + rng.randrange(1, 40)]
            case _:
                raw[at:at] = raw[rng.randrange(len(raw)) :][: rng.randrange(1, 200)]
    return bytes(raw)


@pytest.fixture(scope="module")
async def host(tmp_path_factory, anyio_backend):
    """A server with pages and without a limit to calls, which knows alice."""
    folder = tmp_path_factory.mktemp("fuzzed")
    file, tokens = tokens_file(folder, "alice")
    flags = {"tokens_file": str(file), "vouching_clients": "alice", "principal_calls_per_minute": "0"}
    async with fake_cloud() as cloud, hosted(consenting(folder, cloud, **flags), tokens) as running:
        yield running


@pytest.fixture
def faults(caplog):
    """What the server says of its own faults; nothing, at the end of a test."""
    yield lambda: [one.getMessage() for one in caplog.records if one.levelno >= ERROR and one.name[:10] == "mcp_convex"]
    assert "Bearer" not in caplog.text


async def test_no_request_is_answered_by_a_fault_of_the_servers(host, faults):
    rng = random.Random(5)  # noqa: S311 - the same each time
    seen = set()
    async with host.http(None) as http:
        for number in range(REQUESTS):
            sent = request(rng, host.origin, host.tokens["alice"])
            answer = await http.send(sent)
            seen.add(answer.status_code)
            assert answer.status_code < 500, (
                number,
                sent.method,
                sent.url,
                sent.headers,
                sent.content[:300],
                answer.text,
            )
            assert host.tokens["alice"] not in answer.text
            assert [] == faults()
        assert 200 == (await http.get(f"{host.origin}/readyz")).status_code
    assert {200, 400, 401, 403, 404} <= seen


async def test_no_bytes_are_answered_by_a_fault_of_the_servers(host, faults):
    rng = random.Random(6)  # noqa: S311 - the same each time
    at_once, seen = anyio.CapacityLimiter(8), set()

    async def attack(sent: bytes) -> None:
        async with at_once:
            answer = await exchange(host.origin, sent, patience_s=0.5)
        seen.update(answer.statuses)
        assert all(status < 500 for status in answer.statuses), (sent, answer.received)
        assert [] == faults(), sent
        assert host.tokens["alice"].encode() not in answer.received

    async with anyio.create_task_group() as tasks:
        for _ in range(DAMAGED):
            tasks.start_soon(attack, written(rng, host.origin, host.tokens["alice"]))
    async with host.http(None) as http:
        assert 200 == (await http.get(f"{host.origin}/readyz")).status_code
    assert {200, 400, 401, 404} <= seen
