"""Whatever is sent to the hosted server is answered, and never by a fault of its own."""

from __future__ import annotations

import json
import random

import httpx2
import pytest

from tests.doubles.hosting import DISCOVER, HEADERS, hosted, hosted_settings, tokens_file

pytestmark = pytest.mark.anyio

REQUESTS = 1000
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
    "/.well-known/oauth-protected-resource/mcp",
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
    query = rng.choice(
        ["", "", "?workspace=fuzz", "?read_only=1", "?x", "?workspace=%ff&toolsets=,", "?toolsets=files"]
    )
    method = rng.choice(["POST"] * 6 + ["PUT", "DELETE", "OPTIONS", "HEAD"])
    return httpx2.Request(method, f"{origin}{rng.choice(PATHS)}{query}", headers=headers, content=body(rng))


async def test_no_request_is_answered_by_a_fault_of_the_servers(tmp_path, caplog):
    rng = random.Random(5)  # noqa: S311 - the same each time
    file, tokens = tokens_file(tmp_path, "alice")
    seen = set()
    async with hosted(hosted_settings(tmp_path, tokens_file=str(file))) as running, running.http(None) as http:
        for number in range(REQUESTS):
            sent = request(rng, running.origin, tokens["alice"])
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
            assert tokens["alice"] not in answer.text
        assert 200 == (await http.get(f"{running.origin}/readyz")).status_code
    assert {200, 400, 401, 404} <= seen
    assert tokens["alice"] not in caplog.text
