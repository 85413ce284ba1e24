"""A push or a preview: the conversation between the CLI and its deployment, and the decisions in it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import anyio
from pydantic import ValidationError

from mcp_convex.broker import verdicts
from mcp_convex.broker.answers import Answer, said
from mcp_convex.broker.changes import Before, Hashes, changes_of, pushed_contents, pushed_hashes
from mcp_convex.broker.consent import consent_needed
from mcp_convex.broker.contents import Contents, ContentsMemory
from mcp_convex.broker.exchange import spliced, with_key
from mcp_convex.broker.forecast import foreseen
from mcp_convex.broker.session import Call, Opening, Session
from mcp_convex.broker.steps import (
    CANONICAL_URLS,
    CONFIG_HASHES,
    EVALUATE_SCHEMA,
    FINISH_PUSH,
    START_PUSH,
    WAIT_FOR_SCHEMA,
    Step,
)
from mcp_convex.broker.tuning import Tuning
from mcp_convex.broker.upstream import Lost, Reply, Upstream
from mcp_convex.broker.verdicts import Ended
from mcp_convex.broker.wire import (
    CanonicalUrls,
    ConfigHashes,
    PushFinished,
    PushStarted,
    SchemaForecast,
    SchemaStatus,
    Wire,
)
from mcp_convex.domain.diagnostics import EMPTY
from mcp_convex.domain.models import ConvexFunction
from mcp_convex.domain.pushes import Changes

W = TypeVar("W", bound=Wire)

_CONFIRMED = b'{"authDiff":{"added":[],"removed":[]},"definitionDiffs":{},"componentDiffs":{}}'
"""What the CLI is told of a push whose own confirmation was lost."""


@dataclass(frozen=True, slots=True)
class _Started:
    """A push that the deployment has analysed."""

    answer: bytes = field(repr=False)
    """As it came: env var values and all. `finish_push` needs it back to the byte."""
    schema_change: Any
    pushed: Hashes
    contents: Contents
    changes: Changes
    live_before: tuple[ConvexFunction, ...]


class PushSession(Session):
    """The CLI on one side, its deployment on the other."""

    def __init__(self, opening: Opening, upstream: Upstream, tuning: Tuning, memory: ContentsMemory) -> None:
        super().__init__(opening)
        self._upstream = upstream
        self._tuning = tuning
        self._memory = memory
        self._hashes_call: Call | None = None
        """The CLI's own question for what is live, which can be asked again."""
        self._hashes_before: Hashes | None = None
        self._forecast: SchemaForecast | None = None
        self._start: _Started | None = None
        self._schema_fits = False
        self._typed = False
        self._steps: Mapping[Step, Callable[[Call], Awaitable[Answer]]] = {
            CANONICAL_URLS: self._canonical_urls,
            CONFIG_HASHES: self._config_hashes,
            EVALUATE_SCHEMA: self._evaluate_schema,
            START_PUSH: self._start_push,
            WAIT_FOR_SCHEMA: self._wait_for_schema,
            FINISH_PUSH: self._finish_push,
        }

    async def _answer(self, call: Call) -> Answer:
        return await self._steps[call.step](call)

    def _repeats(self) -> int:
        return self._upstream.repeats

    async def _canonical_urls(self, call: Call) -> Answer:
        reply, _ = await self._asked(call, None, CanonicalUrls)
        return self._passed(reply)

    async def _config_hashes(self, call: Call) -> Answer:
        reply, hashes = await self._asked(call, self._keyed(call), ConfigHashes)
        self._hashes_call, self._hashes_before = call, _by_path(hashes)
        return self._passed(reply)

    async def _evaluate_schema(self, call: Call) -> Answer:
        """Pass on what the CLI asks for its own warnings; it goes on without an answer too."""
        self._confined(call)
        reply = await self._upstream.ask(call.step, self._keyed(call), cli=call.cli)
        if isinstance(reply, Lost) or reply.status != HTTPStatus.OK:
            return said(404, "NotFound", "The deployment did not evaluate the schema.")
        self._forecast = _read(reply, SchemaForecast)
        return self._passed(reply)

    async def _start_push(self, call: Call) -> Answer:
        await self._advance("starting")
        request = self._confined(call)
        if request.is_empty:
            self._keep(EMPTY)
        body = self._keyed(call)
        reply, started = await self._asked(call, body, PushStarted, hide=False)
        masks = self._upstream.masks.learn(started.environment_variables, sent=call.body)
        answer = json.loads(reply.body)
        known = self._memory.recall()
        contents = pushed_contents(request, known, await self._terms.origins() if self._terms.origins else {})
        live = await self._terms.live_functions() if self._terms.live_functions else None
        before = Before(hashes=self._hashes_before or {}, contents=known, functions=live)
        changes = await self._foreseen(changes_of(request, started, before, contents), body, started)
        self._start = _Started(
            answer=reply.body,
            schema_change=answer["schemaChange"],
            pushed=pushed_hashes(request),
            contents=contents,
            changes=changes,
            live_before=live or (),
        )
        self._changes = changes
        self._schema_fits = self._typed = False
        await self._advance("type check")
        masked = json.dumps({**answer, "environmentVariables": masks}, separators=(",", ":")).encode()
        return self._passed(Reply(reply.status, masked, reply.headers))

    async def _wait_for_schema(self, call: Call) -> Answer:
        """Wait as the CLI does, which asks once its code is generated and the types are checked, if it does that."""
        start = self._begun(call)
        if not await self._types_fit():
            return await self._left_to_the_compiler()
        await self._advance("schema")
        await self._ask_consent(start)
        body = {**json.loads(call.body), "adminKey": self._key(), "schemaChange": start.schema_change}
        reply, status = await self._asked(call, json.dumps(body).encode(), SchemaStatus)
        answer = self._passed(reply)
        if status.type in {"failed", "raceDetected"}:
            raise verdicts.schema_refused(status, answer)
        self._schema_fits = status.type == "complete"
        if self._terms.purpose == "preview" and status.documents_fit:
            raise Ended(None)
        return answer

    async def _finish_push(self, call: Call) -> Answer:
        start = self._begun(call)
        if not self._schema_fits or self._terms.purpose != "push":
            raise verdicts.out_of_order(call.step)
        await self._advance("finishing")
        members = {**json.loads(call.body), "adminKey": self._key()}
        body = spliced(members, "startPush", start.answer)
        reply = await self._upstream.ask(call.step, body, cli=call.cli, reserve_s=self._tuning.proof_s)
        if isinstance(reply, Reply) and _read(reply, PushFinished) is not None:
            answer = self._passed(reply)
        elif isinstance(reply, Reply) and _is_refusal(reply):
            raise verdicts.refused(call.step, self._hidden(reply))
        else:
            answer = await self._proven(start)
        self._live, self._modules = True, dict(start.pushed)
        self._memory.keep(start.contents)
        await self._advance("done")
        self._decided.set()
        return answer

    async def _proven(self, start: _Started) -> Answer:
        """
        Find out whether a push went live whose confirmation was lost, without ever asking for it again.

        Raises:
            Ended: It did not, or nothing tells.
        """
        told = False
        for pause in (0, self._tuning.first_pause_s, 4 * self._tuning.first_pause_s):
            await anyio.sleep(pause)
            after = await self._hashes_now()
            told = told or after is not None
            if after is not None and _shows(self._hashes_before, start.pushed, after):
                return Answer(200, _CONFIRMED)
        raise verdicts.unfinished(known=told and _is_telling(self._hashes_before, start.pushed))

    async def _hashes_now(self) -> Hashes | None:
        if self._hashes_call is None:
            return None
        try:
            _, hashes = await self._asked(self._hashes_call, self._keyed(self._hashes_call), ConfigHashes)
        except Ended:
            return None
        return _by_path(hashes)

    async def _foreseen(self, changes: Changes, body: bytes, started: PushStarted) -> Changes:
        """Return *changes* with what they would walk, where that matters and the deployment can tell."""
        matters = self._terms.purpose == "preview" or (changes.indexes.added and not self._terms.consented)
        if not matters:
            return changes
        forecast = self._forecast or _read(await self._upstream.ask(EVALUATE_SCHEMA, body), SchemaForecast)
        return foreseen(changes, started.schema_change.index_diffs or {}, forecast) if forecast else changes

    async def _ask_consent(self, start: _Started) -> None:
        """
        Stop a push that a person has to agree to. A preview goes on, and says what they would be asked.

        Raises:
            Ended: It waits for consent.
        """
        is_preview = self._terms.purpose == "preview"
        if self._terms.consented and not is_preview:
            return
        ask = self._terms.queried_indexes if start.changes.indexes.removed else None
        needed = consent_needed(start.changes, self._terms.agreed, start.live_before, await ask() if ask else ())
        if needed and not is_preview:
            raise Ended("needs_consent", needed)
        for diagnostic in needed:
            self._keep(diagnostic.model_copy(update={"severity": "warning"}))

    async def _types_fit(self) -> bool:
        """Say whether the types fit, as far as it is not the CLI that checks them; it is asked once."""
        if self._terms.types is not None and not self._typed:
            self._typed = await self._terms.types()
        return self._typed or self._terms.types is None

    async def _left_to_the_compiler(self) -> Answer:
        """End the push, and let the CLI say nothing more: the compiler has said what is wrong."""
        self._decided.set()
        await self._closed.wait()
        return said(403, "PushEnded", "The types do not fit.")

    def _begun(self, call: Call) -> _Started:
        if self._start is None:
            raise verdicts.out_of_order(call.step)
        return self._start

    async def _asked(self, call: Call, body: bytes | None, shape: type[W], *, hide: bool = True) -> tuple[Reply, W]:
        """
        Ask the deployment and return its answer, masked unless *hide* is off, and read as *shape*.

        Raises:
            Ended: There is no such answer, and there will be none.
        """
        if not self._deadline.left():
            raise verdicts.out_of_time(call.step)
        reply = await self._upstream.ask(call.step, body, cli=call.cli)
        if isinstance(reply, Lost):
            raise verdicts.lost(call.step, reply) if self._deadline.left() else verdicts.out_of_time(call.step)
        if reply.status != HTTPStatus.OK:
            raise verdicts.refused(call.step, self._hidden(reply))
        if warning := reply.header("x-convex-deprecation-message"):
            self._note("cli_deprecated", warning, "warning")
        shown = self._hidden(reply) if hide else reply
        try:
            return shown, shape.model_validate_json(shown.body)
        except ValidationError as exc:
            raise verdicts.misshapen(call.step) from exc

    def _key(self) -> str:
        return self._upstream.credential.get_secret_value()

    def _keyed(self, call: Call) -> bytes:
        return with_key(call.body, self.placeholder.get_secret_value(), self._upstream.credential)

    def _hidden(self, reply: Reply) -> Reply:
        return Reply(reply.status, self._upstream.masks.hide(reply.body), reply.headers)

    def _passed(self, reply: Reply) -> Answer:
        return Answer(reply.status, self._upstream.masks.hide(reply.body), reply.headers)


def _read(reply: Reply | Lost, shape: type[W]) -> W | None:
    """Return *reply* as *shape*; None where it is lost, refused, or something else."""
    if isinstance(reply, Lost) or reply.status != HTTPStatus.OK:
        return None
    try:
        return shape.model_validate_json(reply.body)
    except ValidationError:
        return None


def _is_refusal(reply: Reply) -> bool:
    """Say whether the deployment has refused, rather than failed or asked to come back later."""
    is_client_error = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return is_client_error and reply.status != HTTPStatus.TOO_MANY_REQUESTS


def _by_path(hashes: ConfigHashes) -> Hashes:
    return {module.path: module.hash for module in hashes.module_hashes}


def _is_telling(before: Hashes | None, pushed: Hashes) -> bool:
    """Say whether the live modules' hashes tell the push from what was there before."""
    return before is not None and any(before.get(path) != sha256 for path, sha256 in pushed.items())


def _shows(before: Hashes | None, pushed: Hashes, after: Hashes) -> bool:
    """Say whether *after* proves that what was *pushed* is live."""
    return _is_telling(before, pushed) and all(after.get(path) == sha256 for path, sha256 in pushed.items())
