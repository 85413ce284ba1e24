"""The gate as the services know it: opens sessions, and hands each request to the one whose placeholder it bears."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_convex.broker.answers import Answer, said
from mcp_convex.broker.held import Held, Patience
from mcp_convex.broker.listener import Listener
from mcp_convex.broker.packing import MAX_BODY, BodyCutOff, BodyTooLarge, unpacked
from mcp_convex.broker.tuning import Tuning
from mcp_convex.domain.ports import Gate, HeldSession, OnStage, PushTerms
from mcp_convex.domain.secrets import PlaceholderValue

if TYPE_CHECKING:
    import httpx2

    from mcp_convex.broker.session import Session

_CLI = re.compile(r"[\w.+-]{1,64}", re.ASCII)
"""A CLI's name and version, such as `npm-cli-1.48.0`."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class LocalGate(Gate):
    """
    A gate on this machine. It listens from the first session on; `aclose` ends it.

    In the folder *memory* it keeps what modules are live, so that it can say what a push changes.
    *may_wait* says whether the machine has room for a CLI that only waits.
    """

    def __init__(
        self, tuning: Tuning | None = None, *, memory: Path | None = None, may_wait: Callable[[], bool] = lambda: True
    ) -> None:
        self._tuning = tuning or Tuning()
        self._memory = memory
        self._patience = Patience(idle_s=self._tuning.idle_s, may_wait=may_wait, look_every_s=self._tuning.look_every_s)
        self._listener = Listener(self._serve)
        self._held: list[Held] = []
        self._client: httpx2.AsyncClient | None = None

    async def hold(self) -> HeldSession:
        url = await self._listener.url()
        waiting = [held for held in self._held if held.is_waiting]
        for oldest in waiting[: len(waiting) - self._tuning.most_waiting + 1]:
            oldest.drop()
        return Held(url, self._opened, self._patience, among=self._held)

    async def socket_path(self) -> Path:
        """
        Return the Unix socket on which the gate listens as well, for a sandbox that has no network at all.

        Raises:
            DirectoryUnusable: The temporary folder cannot hold a socket.
        """
        return await self._listener.socket_path()

    async def aclose(self) -> None:
        """Stop listening and let go of every connection."""
        for held in [held for held in self._held if held.is_waiting]:
            held.drop()
        await self._listener.aclose()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _opened(self, url: str, placeholder: PlaceholderValue, terms: PushTerms, on_stage: OnStage) -> Session:
        from mcp_convex.broker.opening import Means, opened  # noqa: PLC0415 - the server starts before it needs this

        means = Means(tuning=self._tuning, client=self._connected, memory=self._memory)
        return opened((url, placeholder), terms, on_stage, means)

    def _connected(self) -> httpx2.AsyncClient:
        """Return the client for every upstream call: no proxy or netrc of this process, and no redirects."""
        if self._client is None:
            import httpx2  # noqa: PLC0415 - as above

            headers = {"User-Agent": "mcp-convex", "Accept-Encoding": "gzip"}
            self._client = httpx2.AsyncClient(
                trust_env=False, follow_redirects=False, timeout=httpx2.Timeout(None, connect=10.0), headers=headers
            )
        return self._client

    async def _serve(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        authorization = headers.get(b"authorization", b"")
        admitting = [held for held in self._held if held.admits(authorization)]
        if not admitting:
            answer = said(401, "BadAdminKey", "The gate does not know this key.")
        elif (session := await admitting[0].session()) is None:
            answer = said(403, "PushEnded", "There is no push to wait for any more.")
        else:
            cli = headers.get(b"convex-client", b"").decode("latin-1")
            cli = cli if _CLI.fullmatch(cli) else ""
            answer = await session.serve(scope["method"], scope["path"], cli, lambda: _body(headers, receive))
        await _send(answer, send)


async def _body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """
    Return a request's body, unpacked.

    Raises:
        BodyCutOff: The CLI is gone.
        BodyTooLarge: It is larger than a push may be.
        BodyUnreadable: It is not compressed as its headers say.
    """
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BodyCutOff
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY:
            raise BodyTooLarge(len(body))
    return unpacked(bytes(body), headers.get(b"content-encoding", b"").decode("latin-1"))


async def _send(answer: Answer, send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer.body)).encode())]
    headers += [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
