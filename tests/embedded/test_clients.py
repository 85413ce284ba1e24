"""Convex's own JS clients and MCP server, HTTP actions, and files, as an app and its tools use them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.doubles.embedded import CHAT, Running, running

pytestmark = pytest.mark.anyio

LIVE_CLIENT = Path(__file__).parents[1] / "doubles" / "live_client.mjs"
SIGNING = ec.generate_private_key(ec.SECP256R1())
JWKS = json.dumps({"keys": [{**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(SIGNING.public_key())), "kid": "k"}]})
AUTH_CONFIG = f"""
export default {{ providers: [{{
  type: "customJwt", issuer: "https://issuer.test", algorithm: "ES256",
  jwks: "data:text/plain;charset=utf-8,{JWKS.replace('"', "%22").replace(" ", "%20")}",
}}] }};
"""


@pytest.fixture(scope="module")
async def chat(tmp_path_factory, anyio_backend) -> AsyncIterator[Running]:
    async with running(
        tmp_path_factory.mktemp("clients"), {**CHAT, "convex/auth.config.ts": AUTH_CONFIG}
    ) as deployment:
        pushed = await deployment.push()
        assert 0 == pushed.code, pushed.said
        yield deployment


async def test_the_js_clients_see_results_updates_errors_and_identities(chat: Running) -> None:
    claims = {"iss": "https://issuer.test", "sub": "ada", "iat": int(time.time()), "exp": int(time.time()) + 600}
    token = jwt.encode(claims, SIGNING, algorithm="ES256", headers={"kid": "k"})
    given = f"{chat.reach.target.url}\n{chat.key}\n{token}".encode()
    with anyio.fail_after(60):
        done = await anyio.run_process(
            ["node", str(LIVE_CLIENT)], cwd=chat.project, env=chat.environment, input=given, check=False
        )
    assert 0 == done.returncode, done.stderr.decode()
    seen = dict(json.loads(line) for line in done.stdout.decode().splitlines() if line.startswith('["'))

    assert {
        "http query": ["first"],
        "http action": "string",
        "http odd values": ["7n", 2, True],
        "http error data": {"why": "no"},
        "http consistent": 2,
        "live result is there when the mutation returns": [2, 3],
        "live update from another client": [2, 3, 4],
        "live action": "string",
        "live error data": {"why": "no"},
        "live query error": True,
        "live hidden": True,
        "live signed in": [True, "ada"],
        "live admin": ["for admins", "acting"],
    } == seen


async def test_an_http_action_gets_the_request_and_gives_the_answer(chat: Running) -> None:
    async with httpx2.AsyncClient(base_url=chat.reach.target.site_url or "") as page:
        answer = await page.post("/echo?q=?", content="what", headers={"X-Ask": "me"})
        missing = await page.get("/nothing")

    assert (201, "what?", "me") == (answer.status_code, answer.text, answer.headers["x-echo"])
    assert 404 == missing.status_code


async def test_a_file_is_uploaded_and_served_whole_and_in_part(chat: Running) -> None:
    upload_url = await chat.value("mutation", "files:uploadUrl")
    async with httpx2.AsyncClient() as page:
        stored = await page.post(upload_url, content=b"0123456789", headers={"content-type": "text/plain"})
        url = await chat.value("query", "files:url", {"id": stored.json()["storageId"]})
        whole = await page.get(url)
        part = await page.get(url, headers={"Range": "bytes=2-4"})

    assert (200, b"0123456789") == (whole.status_code, whole.content)
    assert (206, b"234") == (part.status_code, part.content)
    assert "text/plain" == whole.headers["content-type"].partition(";")[0]


async def test_an_upload_without_a_token_or_with_other_content_than_it_says_is_refused(chat: Running) -> None:
    upload_url = await chat.value("mutation", "files:uploadUrl")
    async with httpx2.AsyncClient() as page:
        forged = await page.post(f"{chat.reach.target.url}/api/storage/upload?token=x.y", content=b"0")
        other = await page.post(upload_url, content=b"0", headers={"Digest": "sha-256=AAAA"})
        missing = await page.get(f"{chat.reach.target.url}/api/storage/none")

    assert (400, "InvalidUploadToken") == (forged.status_code, forged.json()["code"])
    assert (400, "Sha256Mismatch") == (other.status_code, other.json()["code"])
    assert 404 == missing.status_code
    assert [] == list((chat.folder / "engine" / "data" / "incoming").iterdir())


async def test_values_are_encoded_as_the_caller_asks(chat: Running) -> None:
    plain = (await chat.http.post("/api/query", json={"path": "messages:odd", "args": {}, "format": "json"})).json()
    encoded = {"path": "messages:odd", "args": {}, "format": "convex_encoded_json"}
    convex = (await chat.http.post("/api/query", json=encoded)).json()

    assert {"big": "7", "bytes": "AAA=", "nothing": "NaN"} == plain["value"]
    assert {"$integer": "BwAAAAAAAAA="} == convex["value"]["big"]


async def test_shapes_are_inferred_from_documents(chat: Running) -> None:
    await chat.value("mutation", "messages:send", {"author": "ada", "body": "shaped"})
    shapes = (await chat.http.get("/api/shapes2")).json()
    fields = {field["fieldName"]: field["shape"] for field in shapes["messages"]["fields"]}

    assert {"type": "String"} == fields["body"]


async def test_a_message_that_is_not_understood_ends_the_connection(chat: Running) -> None:
    from websockets.asyncio.client import connect  # noqa: PLC0415

    address = chat.reach.target.url.replace("http", "ws") + "/api/1.48.0/sync"
    async with connect(address) as socket:
        await socket.send('{"type": "ModifyQuerySet"}')
        with anyio.fail_after(60):
            answer = json.loads(await socket.recv())

    assert "FatalError" == answer["type"]


async def test_a_wrong_key_on_the_socket_is_an_auth_error(chat: Running) -> None:
    from websockets.asyncio.client import connect  # noqa: PLC0415

    address = chat.reach.target.url.replace("http", "ws") + "/api/1.48.0/sync"
    claim = {"type": "Authenticate", "tokenType": "Admin", "value": "main|wrongwrong", "baseVersion": 0}
    async with connect(address) as socket:
        await socket.send(json.dumps(claim))
        with anyio.fail_after(60):
            answer = json.loads(await socket.recv())

    assert ("AuthError", 0, True) == (answer["type"], answer["baseVersion"], answer["authUpdateAttempted"])


async def test_convex_own_mcp_server_reads_the_deployment(chat: Running) -> None:
    await chat.value("mutation", "messages:send", {"author": "ada", "body": "for the other server"})
    environment = {
        **chat.environment,
        "CONVEX_PROVISION_HOST": chat.reach.target.url,
        "CONVEX_DEPLOY_KEY": f"dev:{chat.key}",
    }
    command = ["node", "node_modules/convex/dist/cli.bundle.cjs", "mcp", "start", "--project-dir", str(chat.project)]
    async with await anyio.open_process(command, cwd=chat.project, env=environment, stderr=None) as server:
        peer = McpPeer(server)
        with anyio.fail_after(60):
            opening = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
            await peer.ask("initialize", opening)
            status = await peer.tool("status", projectDir=str(chat.project))
            selector = status["availableDeployments"][0]["deploymentSelector"]
            tables = await peer.tool("tables", deploymentSelector=selector)
            rows = await peer.tool("data", deploymentSelector=selector, tableName="messages", order="desc")
            spec = await peer.tool("functionSpec", deploymentSelector=selector)
            ran = await peer.tool("run", deploymentSelector=selector, functionName="messages:hidden", args="{}")
        server.terminate()

    assert "messages" in tables["tables"]
    assert "for the other server" in json.dumps(rows)
    assert "messages.js:send" in json.dumps(spec)
    assert "for admins" == ran["result"]


class McpPeer:
    """The least of an MCP client over stdio."""

    def __init__(self, process: anyio.abc.Process) -> None:
        self._process = process
        self._read = b""
        self._last = 0

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._last += 1
        assert self._process.stdin
        request = {"jsonrpc": "2.0", "id": self._last, "method": method, "params": params}
        await self._process.stdin.send(json.dumps(request).encode() + b"\n")
        while True:
            answer = json.loads(await self._line())
            if answer.get("id") == self._last:
                return answer["result"]

    async def tool(self, name: str, **arguments: Any) -> dict[str, Any]:
        result = await self.ask("tools/call", {"name": name, "arguments": arguments})
        text = result["content"][0]["text"]
        assert not result.get("isError"), text
        return json.loads(text)

    async def _line(self) -> bytes:
        assert self._process.stdout
        while b"\n" not in self._read:
            self._read += await self._process.stdout.receive()
        line, _, self._read = self._read.partition(b"\n")
        return line
