"""The hosted server over real HTTP, beside a bare tool of the SDK: requests a second, and what a principal costs."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from benchmarks.measures import Measure

_CONNECTIONS = 16
_CALLS = 50
"""Of each connection in a round."""
_WARM, _PRINCIPALS = 50, 300
_BODY = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": "get_connection",
            "arguments": {},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    }
).encode()
_HEAD = (
    "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\n"
    "Mcp-Name: get_connection\r\nContent-Length: {length}\r\n\r\n"
)


@dataclass(frozen=True)
class Server:
    """A process that serves, and the tokens that it knows."""

    url: str
    pid: int
    tokens: Sequence[str]

    async def look(self, tokens: Iterable[str]) -> None:
        """Call `get_connection` with each of *tokens*, one after the other over one connection."""
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for token in tokens:
            head = _HEAD.format(path=parts.path, host=parts.netloc, token=token, length=len(_BODY))
            writer.write(head.encode() + _BODY)
            status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
            (length,) = (header.split(":")[1] for header in headers if header.startswith("content-length:"))
            answer = json.loads(await reader.readexactly(int(length)))
            assert " 200 " in status, status
            assert answer["result"]["structuredContent"]["connections"] == [], answer
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def served_side_by_side(folder: Path) -> AsyncGenerator[tuple[Measure, Measure]]:
    """Yield a call of `get_connection`, of many at once, and of a bare tool that answers the same; in seconds each."""
    async with _serving(folder / "http", _ours, 1) as ours, _serving(folder / "http-bare", _bare, 1) as bare:
        yield _many(ours), _many(bare)


async def principal_cost(folder: Path) -> float:
    """Return by how many bytes a process that serves grows with each principal who has called and is idle."""
    async with _serving(folder / "principals", _ours, _WARM + _PRINCIPALS) as server:
        await server.look(server.tokens[:_WARM])
        before = psutil.Process(server.pid).memory_info().rss
        await server.look(server.tokens[_WARM:])
        return (psutil.Process(server.pid).memory_info().rss - before) / _PRINCIPALS


def _many(server: Server) -> Measure:
    (token,) = server.tokens

    async def measure() -> float:
        started = time.monotonic()
        await asyncio.gather(*(server.look([token] * _CALLS) for _ in range(_CONNECTIONS)))
        return (time.monotonic() - started) / _CONNECTIONS / _CALLS

    return measure


def _ours(folder: Path, tokens: Path) -> list[str]:
    script = str(Path(sys.executable).with_name("mcp-convex"))
    flags = ["--listen-port", "0", "--tokens-file", str(tokens), "--data-dir", str(folder / "data")]
    return [script, "serve", *flags, "--principal-calls-per-minute", "0"]


def _bare(_: Path, tokens: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.bare", str(tokens)]


@asynccontextmanager
async def _serving(folder: Path, command: Callable[[Path, Path], list[str]], principals: int) -> AsyncGenerator[Server]:
    file, tokens = _tokens(folder, principals)
    process = await asyncio.create_subprocess_exec(*command(folder, file), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        said = (await process.stdout.readline()).decode()
        yield Server(said.removeprefix("Serving at ").strip().rstrip("."), process.pid, tokens)
    finally:
        process.terminate()
        await process.wait()


def _tokens(folder: Path, principals: int) -> tuple[Path, list[str]]:
    folder.mkdir()
    tokens = [secrets.token_hex(24) for _ in range(principals)]
    file = folder / "tokens"
    file.touch(mode=0o600)
    file.write_text("".join(f"principal{number} {token}\n" for number, token in enumerate(tokens)))
    return file, tokens
