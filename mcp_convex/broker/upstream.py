"""The gate's side towards Convex: one call at a time, bounded, repeated where that does no harm."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import anyio
from anyio import to_thread
from pydantic import ValidationError

from mcp_convex.broker.exchange import Masks
from mcp_convex.broker.packing import MAX_BODY, packed
from mcp_convex.broker.steps import Step
from mcp_convex.broker.tuning import Tuning
from mcp_convex.broker.wire import Refusal
from mcp_convex.domain.ports import Reach
from mcp_convex.domain.secrets import AdminKeyValue
from mcp_convex.domain.spans import here, note, span

if TYPE_CHECKING:
    import httpx2

_PASSED_HEADERS = ("x-convex-deprecation-state", "x-convex-deprecation-message")
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_WORTH_COMPRESSING = 16_384
"""Bytes. On loopback compressing costs more than it saves; over a real network it does not from here on."""
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Reply:
    """A whole answer of the deployment."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    @cached_property
    def _refusal(self) -> Refusal:
        try:
            return Refusal.model_validate_json(self.body)
        except ValidationError:
            return Refusal()

    @property
    def code(self) -> str | None:
        return self._refusal.code

    @property
    def message(self) -> str | None:
        return self._refusal.message

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)

    @property
    def deprecation(self) -> str | None:
        """What the deployment says of a CLI that it no longer serves."""
        if self.header("x-convex-deprecation-state") != "Deprecated":
            return None
        return self.header("x-convex-deprecation-message") or "The convex package is too old for this deployment."


@dataclass(frozen=True, slots=True)
class Lost:
    """There was no whole answer."""

    why: Literal["unreachable", "cut_off", "silent", "oversized"]


@dataclass(frozen=True, slots=True)
class _Request:
    """What `Upstream.ask` sends, as often as it has to."""

    step: Step
    body: bytes | None = field(repr=False)
    cli: str
    reserve_s: float


class Deadline:
    """When a session ends, on the event loop's clock."""

    def __init__(self, seconds: float) -> None:
        self._at = anyio.current_time() + seconds

    def left(self) -> float:
        """Return the seconds that are left, none once it has passed."""
        return max(0.0, self._at - anyio.current_time())

    def expire(self) -> None:
        """Let it be over now."""
        self._at = anyio.current_time()


class Upstream:
    """One deployment, for the length of one session."""

    def __init__(self, client: httpx2.AsyncClient, reach: Reach, deadline: Deadline, tuning: Tuning) -> None:
        self._client = client
        self._reach = reach
        self._deadline = deadline
        self._tuning = tuning
        self.masks = Masks(reach.credential)
        self.repeats = 0
        self._within = here()  # the CLI's calls come in by tasks of their own

    @property
    def credential(self) -> AdminKeyValue:
        return self._reach.credential

    async def ask(self, step: Step, body: bytes | None, *, cli: str = "", reserve_s: float = 0) -> Reply | Lost:
        """
        Ask the deployment, again where the step allows it and the answer is transient.

        Args:
            step: What to ask for.
            body: JSON, with the real key in it.
            cli: The CLI's name and version, which decide about deprecation.
            reserve_s: Seconds to leave of the session's time, or half of what is left if that is less.
        """
        request = _Request(step, body, cli, reserve_s)
        reply = await self._once(request)
        if not step.repeatable:
            return reply
        for pause in self._pauses():
            if not _is_transient(step, reply):
                break
            self.repeats += 1
            await anyio.sleep(pause)
            reply = await self._once(request)
        return reply

    def _pauses(self) -> Iterator[float]:
        """Yield the seconds to wait before each repeat, longer each time, until patience or time is over."""
        end = anyio.current_time() + min(self._tuning.patience_s, self._deadline.left())
        pause = self._tuning.first_pause_s
        while anyio.current_time() + pause < end and self._deadline.left() > pause:
            yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
            pause = min(2 * pause, self._tuning.longest_pause_s)

    async def _once(self, request: _Request) -> Reply | Lost:
        with span(request.step.name, calls_out=True, within=self._within):
            reply = await self._answered(request)
            note(outcome=reply.status if isinstance(reply, Reply) else reply.why)
            return reply

    async def _answered(self, request: _Request) -> Reply | Lost:
        left = max(self._deadline.left() - request.reserve_s, self._deadline.left() / 2)
        patience = self._tuning.optional_s if request.step.optional else self._tuning.silence_s
        with anyio.move_on_after(left if request.step.laborious else min(left, patience)):
            return await self._sent(request)
        return Lost("silent")

    async def _sent(self, request: _Request) -> Reply | Lost:
        import httpx2  # noqa: PLC0415 - the server answers its first request before it needs this

        url = self._reach.target.url.rstrip("/") + request.step.path
        content, headers = await self._packed(request.body)
        headers["Authorization"] = f"Convex {self._reach.credential.get_secret_value()}"
        if request.cli:
            headers["Convex-Client"] = request.cli
        try:
            async with self._client.stream(request.step.method, url, content=content, headers=headers) as response:
                return await self._read(response)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol, httpx2.InvalidURL):
            return Lost("unreachable")
        except (httpx2.TransportError, httpx2.DecodingError):
            return Lost("cut_off")

    async def _packed(self, body: bytes | None) -> tuple[bytes | None, dict[str, str]]:
        if body is None:
            return None, {}
        headers = {"Content-Type": "application/json"}
        if len(body) < _WORTH_COMPRESSING or urlsplit(self._reach.target.url).hostname in _LOOPBACK:
            return body, headers
        return await to_thread.run_sync(packed, body), {**headers, "Content-Encoding": "br"}

    async def _read(self, response: httpx2.Response) -> Reply | Lost:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                return Lost("oversized")
        passed = tuple(
            (name, self.masks.hide(response.headers[name].encode()).decode())
            for name in _PASSED_HEADERS
            if name in response.headers
        )
        return Reply(response.status_code, bytes(body), passed)


def _is_transient(step: Step, reply: Reply | Lost) -> bool:
    if isinstance(reply, Lost):
        return reply.why in {"unreachable", "cut_off"}
    if reply.status in _TRANSIENT:
        return True
    return bool({(reply.status, None), (reply.status, reply.code)} & step.passing)
