"""Clients that send and read as slowly as they can: none of them keeps anything of the server's for long."""

from __future__ import annotations

import json
from contextlib import suppress

import anyio
import pytest
from anyio.abc import SocketStream
from starlette.responses import Response

from mcp_convex.boundary.http import Access, Beside, HttpFront
from mcp_convex.boundary.listening import Patience, bound, serve_http
from mcp_convex.server import build_server
from tests.doubles.hosting import DISCOVER, HEADERS, hosted_settings
from tests.doubles.raw import exchange

pytestmark = pytest.mark.anyio

HEAD = "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:80\r\nContent-Type: application/json\r\n" + "".join(
    f"{name}: {value}\r\n" for name, value in HEADERS.items()
)
LARGE = 50 * 2**20
"""Bytes of an answer: more than a system keeps for who does not read."""
BODY = json.dumps(DISCOVER)
WHOLE = f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n{BODY}"
UNFINISHED = {
    "nothing at all": ("", []),
    "half a line": ("POST /mc", [408]),
    "headers without an end": (HEAD, [408]),
    "half of a body": (f"{HEAD}Content-Length: {len(BODY)}\r\n\r\n{BODY[:9]}", [408]),
    "half of a chunk": (f"{HEAD}Transfer-Encoding: chunked\r\n\r\nff\r\n{{", [408]),
    "half of a second request": (WHOLE + HEAD, [200, 408]),
    "half of a second body": (f"{WHOLE}{HEAD}Content-Length: 9\r\n\r\n{{", [200, 408]),
    "the rest of what was refused": (f"{HEAD}Content-Length: 99999999\r\n\r\n{{", [413]),
    "nothing after an answer": (WHOLE, [200]),
}


@pytest.fixture(scope="module")
async def origin(tmp_path_factory, anyio_backend):
    """A server that waits a second for its clients, and as long as it takes for calls to end."""
    server = build_server(hosted_settings(tmp_path_factory.mktemp("slow")))
    access = Access(check=None, hosts=("127.0.0.1:*",))
    front = HttpFront(server, access, (), Beside(api=lambda _: Response(bytes(LARGE))))
    sock, ready, stopping = bound("127.0.0.1", 0), anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve_http, front, sock, ready.set, stopping, Patience(drain_s=600, client_s=1))
        await ready.wait()
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        stopping.set()
        with anyio.fail_after(60):
            await front.drain()


async def connected(origin: str) -> SocketStream:
    host, _, port = origin.removeprefix("http://").partition(":")
    return await anyio.connect_tcp(host, int(port))


async def send_until_hung_up(stream: SocketStream, piece: bytes) -> None:
    """Send *piece* again and again, slowly."""
    with anyio.fail_after(60), suppress(anyio.BrokenResourceError):
        while True:
            await stream.send(piece)
            await anyio.sleep(0.05)


async def test_who_does_not_finish_is_told_so_and_hung_up_on(origin):
    async def leave_off(sent: str, statuses: list[int]) -> None:
        answer = await exchange(origin, sent.encode(), patience_s=60)
        assert (statuses, True) == (answer.statuses, answer.closed), (sent, answer.received)
        if statuses and statuses[-1] == 408:
            problem = json.loads(answer.received.rpartition(b"\r\n\r\n")[2])
            assert "request_too_slow" == problem["code"]
            assert problem["next_step"]
            assert b"content-type: application/problem+json" in answer.received.lower()

    async with anyio.create_task_group() as tasks:
        for sent, statuses in UNFINISHED.values():
            tasks.start_soon(leave_off, sent, statuses)


async def test_who_sends_a_byte_now_and_then_or_does_not_read_keeps_no_connection(origin):
    async def linger(begun: str, piece: bytes) -> None:
        async with await connected(origin) as stream:
            await stream.send(begun.encode())
            await send_until_hung_up(stream, piece)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(linger, f"{HEAD}X-Slow: ", b"x")
        tasks.start_soon(linger, f"{HEAD}Content-Length: 9999\r\n\r\n", b"x")
        tasks.start_soon(linger, "GET /api/large HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n", b"\r\n")
