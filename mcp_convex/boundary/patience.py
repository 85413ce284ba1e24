"""How long a client may take to send a request and to read its answer: as long as a connection waits for the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import h11
from typing_extensions import override

from mcp_convex.boundary.problems import problem
from mcp_convex.boundary.strict import StrictHttp


class PatientHttp(StrictHttp):
    """uvicorn's HTTP/1.1, whose `timeout_keep_alive` bounds the coming of requests and the going of answers as well."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._coming = _Deadline(self.loop, self.timeout_keep_alive, self._give_up)
        self._going = _Deadline(self.loop, self.timeout_keep_alive, transport.abort)
        self._coming.start()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._coming.stop()
        self._going.stop()

    @override
    def handle_events(self) -> None:
        super().handle_events()
        if self._is_in_the_midst():
            self._unset_keepalive_if_required()  # its timer would hang up without an answer
            self._coming.start()
        else:
            self._coming.stop()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._going.start()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._going.stop()

    def _is_in_the_midst(self) -> bool:
        """Say whether the beginning of a request has come, and its end has not."""
        has_begun = self.conn.their_state is h11.IDLE and self.conn.trailing_data[0] != b""
        return has_begun or self.conn.their_state is h11.SEND_BODY

    def _give_up(self) -> None:
        """Hang up; with a word, if a request was on its way, and no answer is."""
        if self._is_in_the_midst() and self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            if self.conn.our_state is h11.SEND_RESPONSE:
                self.cycle.disconnected = True  # the application, which waits for the rest, has nobody to answer
                self.cycle.message_event.set()
            self._say_that_it_is_late()
        self.transport.close()

    def _say_that_it_is_late(self) -> None:
        answer = problem(
            408,
            "request_too_slow",
            f"The request did not come within {self.timeout_keep_alive} s.",
            "Send it again, at once and whole.",
            {"Connection": "close"},
        )
        head = h11.Response(status_code=408, headers=answer.raw_headers, reason=HTTPStatus.REQUEST_TIMEOUT.phrase)
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")


class _Deadline:
    """Has *then* called *after_s* seconds from its start, unless it is stopped before."""

    def __init__(self, loop: asyncio.AbstractEventLoop, after_s: float, then: Callable[[], None]) -> None:
        self._loop = loop
        self._after_s = after_s
        self._then = then
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Let the time begin, unless it has."""
        self._timer = self._timer or self._loop.call_later(self._after_s, self._then)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
