"""One run of the CLI at the gate: who may call, in which order, and what is known of it so far."""

from __future__ import annotations

import hmac
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from pydantic import ValidationError

from mcp_convex.broker import verdicts
from mcp_convex.broker.answers import Answer, said
from mcp_convex.broker.confinement import strays
from mcp_convex.broker.packing import BodyCutOff, BodyTooLarge, BodyUnreadable
from mcp_convex.broker.steps import REPORT_PUSH_COMPLETED, STEPS, Step
from mcp_convex.broker.upstream import Deadline
from mcp_convex.broker.verdicts import Ended
from mcp_convex.broker.wire import Keyed, PushRequest
from mcp_convex.domain.ports import GateSession, OnStage, PushTerms
from mcp_convex.domain.pushes import STAGES, Changes, Diagnostic, FailureClass, GateVerdict, Stage
from mcp_convex.domain.secrets import PlaceholderValue

_MOST_NOTES = 10
_OVER = said(403, "PushEnded", "This push is over.")


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the CLI, authenticated by its header and with its body decompressed."""

    step: Step
    body: bytes = field(repr=False)
    cli: str
    """The CLI's name and version, as it gives them."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What every session is opened with."""

    url: str
    placeholder: PlaceholderValue
    terms: PushTerms
    on_stage: OnStage
    deadline: Deadline


class Session(GateSession):
    """What a push, a preview and a check have in common."""

    def __init__(self, opening: Opening) -> None:
        self.url = opening.url
        self.placeholder = opening.placeholder
        self._terms = opening.terms
        self._on_stage = opening.on_stage
        self._deadline = opening.deadline
        self._turn = anyio.Lock()
        self._decided = anyio.Event()
        self._closed = anyio.Event()
        self._reached: Stage = "installing"
        self._live = False
        self._stopped = False
        self._failure: FailureClass | None = None
        self._changes: Changes | None = None
        self._modules: dict[str, str] = {}
        self._diagnostics: tuple[Diagnostic, ...] = ()
        self._notes: list[Diagnostic] = []

    async def settled(self) -> None:
        await self._decided.wait()

    def verdict(self) -> GateVerdict:
        return GateVerdict(
            live=self._live,
            reached="bundling" if self._reached == "installing" else self._reached,
            failure=self._failure,
            diagnostics=(*self._diagnostics, *self._notes),
            changes=self._changes,
            attempts=1 + self._repeats(),
            stopped=self._stopped,
            modules=self._modules,
        )

    def close(self) -> None:
        """Let nothing more through."""
        self._deadline.expire()
        self._decided.set()
        self._closed.set()

    async def serve(self, method: str, path: str, cli: str, read: Callable[[], Awaitable[bytes]]) -> Answer:
        """Answer one request that bears the placeholder; *read* returns its body, decompressed."""
        if self._terms.staged is not None and not await self._terms.staged():
            return _OVER
        step = STEPS.get((method, path))
        if step is None:
            self._note("request_refused", f"The CLI asked for `{method} {path[:80]}`, which no push needs.", "note")
            return said(403, "RequestRefused", "The gate lets only a push's own requests through.")
        if step is REPORT_PUSH_COMPLETED:
            return Answer(200, b"{}")  # telemetry: it ends here
        async with self._turn:
            if self._decided.is_set():
                return _OVER
            return await self._judged(step, cli, read)

    async def _judged(self, step: Step, cli: str, read: Callable[[], Awaitable[bytes]]) -> Answer:
        try:
            await self._advance("bundling")
            call = Call(step, await read(), cli)
            self._check_key(call)
            return await self._answer(call)
        except Ended as end:
            return self._end(end)
        except BodyCutOff:
            return said(400, "BodyCutOff", "")  # nobody reads it, and it says nothing about the push
        except BodyTooLarge:
            return self._end(verdicts.too_large())
        except BodyUnreadable:
            return self._end(verdicts.out_of_order(step))
        except Exception as exc:  # noqa: BLE001 - the CLI would repeat its call for ever on a 500
            return self._end(verdicts.unforeseen(exc))

    @abstractmethod
    async def _answer(self, call: Call) -> Answer:
        """
        Answer one call of the push protocol.

        Raises:
            Ended: The push is over.
        """

    def _repeats(self) -> int:
        """Return how often a call upstream was repeated."""
        return 0

    async def _advance(self, stage: Stage) -> None:
        if STAGES.index(stage) > STAGES.index(self._reached):
            self._reached = stage
            await self._on_stage(stage)

    def _end(self, end: Ended) -> Answer:
        self._decided.set()
        if not self._live:  # what is live is a success, whatever fails after it
            self._failure = end.failure
            self._stopped = end.failure is None
            self._diagnostics = end.diagnostics
        return end.answer

    def _note(self, code: str, message: str, severity: str) -> None:
        note = {"code": code, "message": message, "severity": severity, "source": "convex"}
        self._keep(Diagnostic.model_validate(note))

    def _keep(self, note: Diagnostic) -> None:
        """Have the verdict say this as well, whatever becomes of the push."""
        if len(self._notes) < _MOST_NOTES and note not in self._notes:
            self._notes.append(note)

    def _check_key(self, call: Call) -> None:
        """Make sure that the body, which is what a deployment goes by, carries the placeholder as well."""
        if call.step.method != "POST":
            return
        try:
            key = Keyed.model_validate_json(call.body).admin_key
        except ValidationError as exc:
            raise verdicts.out_of_order(call.step) from exc
        if not hmac.compare_digest(key.encode(), self.placeholder.get_secret_value().encode()):
            raise verdicts.out_of_order(call.step)

    def _confined(self, call: Call) -> PushRequest:
        """
        Return what is pushed, all of which comes from the project.

        Raises:
            Ended: Something does not, or the body is not a push.
        """
        try:
            request = PushRequest.model_validate_json(call.body)
        except ValidationError as exc:
            raise verdicts.out_of_order(call.step) from exc
        if outside := strays(request, self._terms):
            raise Ended("source", outside)
        return request
