"""A small client of the engine's protocol: starts the real process and speaks with it over a socket pair."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_convex.embedded

ENGINE = Path(mcp_convex.embedded.__file__).parent / "engine" / "main.mjs"
Json = dict[str, Any]


class EngineRefused(Exception):
    """The engine answered a request with an error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class EngineClient:
    """One engine process and the requests under way."""

    def __init__(self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.events: list[Json] = []
        self._reader = reader
        self._writer = writer
        self._waiting: dict[int, asyncio.Future[Json]] = {}
        self._news = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen())

    async def request(self, op: str, **arguments: Any) -> Any:
        """Send one request and return what is in `ok`. Raises: EngineRefused."""
        number = len(self._waiting) + 1
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps({"id": number, "op": op, **arguments}).encode() + b"\n")
        message = await answer
        if "error" in message:
            raise EngineRefused(**message["error"])
        return message["ok"]

    async def run(self, path: str, args: Json | None = None, **arguments: Any) -> Any:
        """Run a function, public or internal, and return its value. Raises: AssertionError where it threw."""
        answer = await self.request(
            "run", **{"kind": "any", "internal": True, "path": path, "args": args or {}, **arguments}
        )
        assert "error" not in answer, answer["error"]
        return answer["value"]

    async def failure(self, path: str, args: Json | None = None, **arguments: Any) -> str:
        """Run a function that must throw, and return the error."""
        answer = await self.request(
            "run", **{"kind": "any", "internal": True, "path": path, "args": args or {}, **arguments}
        )
        assert "error" in answer, answer
        return str(answer["error"])

    async def documents(self, table: str) -> list[Json]:
        """Return a table's documents, the oldest first."""
        answer = await self.request("system", name="documents", args={"table": table, "limit": 1000})
        return list(answer["page"])

    async def event(self, kind: str, **expected: Any) -> Json:
        """Return the first event of *kind*, past or to come, whose entry has the *expected* parts."""

        def find() -> Json | None:
            for event in self.events:
                entry = event.get("entry", event)
                if event["event"] == kind and all(entry.get(name) == value for name, value in expected.items()):
                    return event
            return None

        async with self._news:
            await self._news.wait_for(lambda: find() is not None)
        found = find()
        assert found is not None
        return found

    async def kill(self) -> None:
        """End the process at once, as a crash or SIGKILL would."""
        self.process.kill()
        await self.process.wait()
        self._listening.cancel()
        self._writer.close()

    async def _listen(self) -> None:
        while line := await self._reader.readline():
            message = json.loads(line)
            if "id" in message:
                self._waiting[message["id"]].set_result(message)
            else:
                async with self._news:
                    self.events.append(message)
                    self._news.notify_all()
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionError("The engine has ended."))


@asynccontextmanager
async def running_engine(folder: Path) -> AsyncIterator[EngineClient]:
    """Start an engine in the deployment folder *folder*; it is killed at the end."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = await create_subprocess_exec(
            "node",
            str(ENGINE),
            str(theirs.fileno()),
            cwd=folder,
            pass_fds=[theirs.fileno()],
            stdin=DEVNULL,
            stdout=DEVNULL,
            env={"PATH": os.environ["PATH"]},
        )
    reader, writer = await asyncio.open_connection(sock=ours, limit=2**26)
    client = EngineClient(process, reader, writer)
    try:
        yield client
    finally:
        if process.returncode is None:
            await client.kill()
