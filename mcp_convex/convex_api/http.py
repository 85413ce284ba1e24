"""The one place from which a request with a credential leaves."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Literal

import anyio
import httpx2
from pydantic import SecretStr, ValidationError

from mcp_convex import __version__
from mcp_convex.convex_api.failures import (
    TROUBLES,
    Failure,
    from_exception,
    from_refusal,
    from_silence,
    from_status,
    too_large,
    unsendable,
)
from mcp_convex.convex_api.peers import Peer
from mcp_convex.convex_api.retry import Retry
from mcp_convex.convex_api.wire import WireRefusal
from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.spans import note, span

CONNECT_S = 10.0
ANSWER_S = 30.0
BRIEF_ANSWER_S = 10.0
"""Seconds for what a deployment knows without looking anything up."""
LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes, decompressed. A function's value may have 16 MiB, and escaping can double it."""
_LARGEST_REFUSAL = 64 * 1024

_NO_CONTENT = 204
_HEADER_SAFE = re.compile(r"[\x21-\x7e]+")
LOOPBACK = ("127.0.0.1", "[::1]", "localhost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, without its host and its credential."""

    path: str
    body: bytes | None = None
    repeatable: bool = True
    """Sent twice it does no more than sent once, so it may be sent again when it fails."""
    optional: bool = False
    """A 404 is the answer, and the request is not sent again in the hope of another."""
    long_poll: bool = False
    """Silence until *answer_s* is an answer too, an empty one."""
    reads: frozenset[int] = frozenset()
    """Statuses beside 2xx whose body the caller understands."""
    answer_s: float = ANSWER_S

    @property
    def method(self) -> Literal["GET", "POST"]:
        return "GET" if self.body is None else "POST"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


def json_body(value: Mapping[str, Any]) -> bytes:
    """Return *value* as a request's body. NaN and infinities have been refused before."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


class Http:
    """
    Sends calls to deployments, or to Convex's management API.

    Follows no redirect and keeps no cookie, so that nothing one deployment says reaches
    another. Proxies and certificates come from the environment, as they do for Convex's
    CLI, but what listens on this machine is never reached through a proxy.
    """

    def __init__(self, peer: Peer, *, retry: Retry, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._peer = peer
        self._retry = retry
        self._transport = transport

    async def send(self, url: str, credential: SecretStr, call: Call) -> Answer:
        """
        Return the answer to *call* at *url*, once it is one.

        Raises:
            ConvexMcpError: The leaf that the status or the failure stands for in `failures`.
        """
        if call.repeatable:
            outcome = await self._retry.run(lambda: self.once(url, credential, call))
        else:
            outcome = await self.once(url, credential, call)
        if isinstance(outcome, Failure):
            raise outcome.error
        return outcome

    async def once(self, url: str, credential: SecretStr, call: Call) -> Answer | Failure:
        """Send *call* to *url* one time only, and return what comes of it."""
        with span(f"{call.method} {self._peer.subject}", calls_out=True):
            outcome = await self._once(url, credential, call)
            note(outcome=outcome.status if isinstance(outcome, Answer) else outcome.error.code)
            return outcome

    async def _once(self, url: str, credential: SecretStr, call: Call) -> Answer | Failure:
        key = credential.get_secret_value()
        if not _HEADER_SAFE.fullmatch(key):
            return Failure(unsendable(self._peer))  # httpx2's own exception would quote it
        try:
            # The read timeout is per chunk: an answer that comes in drops ends here.
            with anyio.move_on_after(CONNECT_S + call.answer_s):
                return await self._exchange(url.rstrip("/") + call.path, key, call)
        except tuple(TROUBLES) as exc:
            if call.long_poll and isinstance(exc, httpx2.ReadTimeout):
                return Answer(_NO_CONTENT, b"")
            return from_exception(exc, self._peer, repeatable=call.repeatable)
        return from_silence(self._peer, repeatable=call.repeatable)

    async def close(self) -> None:
        """Give back the connections."""
        if "_client" in vars(self):
            await self._client.aclose()

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        # Made when first needed: reading the certificates takes longer than the server may take to start.
        return httpx2.AsyncClient(
            transport=self._transport,
            mounts={f"all://{host}": None for host in LOOPBACK},
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
        )

    async def _exchange(self, url: str, key: str, call: Call) -> Answer | Failure:
        headers = {"Authorization": f"{self._peer.scheme} {key}", "Convex-Client": f"mcp-convex-{__version__}"}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        timeout = httpx2.Timeout(call.answer_s, connect=CONNECT_S)
        async with self._client.stream(
            call.method, url, content=call.body, headers=headers, timeout=timeout
        ) as response:
            if response.is_success or response.status_code in call.reads:
                return await _bounded(response, LARGEST_ANSWER)
            return await self._refused(response, call)

    async def _refused(self, response: httpx2.Response, call: Call) -> Failure:
        failure = from_status(response, self._peer, repeatable=call.repeatable)
        if self._peer.refusals and (named := from_refusal(await _code(response), self._peer)):
            failure = Failure(named, passing=failure.passing and isinstance(named, NotFound))
        absent = call.optional and isinstance(failure.error, NotFound)
        return Failure(failure.error) if absent else failure


async def _code(response: httpx2.Response) -> str:
    """Return the name of a refusal, empty where it has none."""
    answer = await _bounded(response, _LARGEST_REFUSAL)
    try:
        return WireRefusal.model_validate_json(answer.body).code if isinstance(answer, Answer) else ""
    except ValidationError:
        return ""


async def _bounded(response: httpx2.Response, most: int) -> Answer | Failure:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > most:
            return Failure(too_large(f"The answer is larger than {most // 2**20} MiB."))
    return Answer(response.status_code, bytes(body))
