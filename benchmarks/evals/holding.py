"""Whether what a task asks for holds, as the deployment says and never as the agent does."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from functools import partial, singledispatchmethod
from pathlib import Path
from typing import Any

import anyio

from benchmarks.evals.deployment import Deployment
from benchmarks.evals.fitting import Misfit, filled, fit, shown
from benchmarks.evals.tasks import Declared, Hold, Http, Live, Rows, Run, Source

_LOOK_EVERY_S = 0.05


class Judge:
    """Looks at one task's deployment and workspace; what it is told to save, later looks may name."""

    def __init__(self, deployment: Deployment, workspace: Path, known: dict[str, Any]) -> None:
        self._deployment = deployment
        self._workspace = workspace
        self._known = known

    async def misfits(self, holds: tuple[Hold, ...]) -> list[str]:
        """Return what does not hold, as sentences; a look goes on from what the ones before it did."""
        found: list[str] = []
        for number, hold in enumerate(holds, 1):
            try:
                await self.look(hold)
            except Misfit as exc:
                found.append(f"hold {number}, {exc}")
        return found

    @singledispatchmethod
    async def look(self, hold: Any) -> None:
        """
        Look whether *hold* does.

        Raises:
            Misfit: It does not.
        """
        raise NotImplementedError(hold)

    @look.register
    async def _run(self, hold: Run) -> None:
        for n in range(1, hold.times + 1):
            await _within(hold.within_s, partial(self._run_once, hold, n))

    async def _run_once(self, hold: Run, n: int) -> None:
        known = {**self._known, "n": n}
        value, thrown = await self._deployment.call(hold.run, filled(hold.args, known), filled(hold.by, known))
        if hold.throws is not None:
            if thrown is None:
                raise Misfit(f"{hold.run} throws nothing and returns {shown(value)}")
            fit({"$has": [hold.throws]}, thrown, f"what {hold.run} throws")
            return
        if thrown is not None:
            raise Misfit(f"{hold.run} throws {shown(thrown)}")
        if "returns" in hold.model_fields_set:
            fit(filled(hold.returns, known), value, hold.run)
        if hold.save:
            self._known[hold.save] = value

    @look.register
    async def _rows(self, hold: Rows) -> None:
        async def once() -> None:
            documents = await self._deployment.documents(hold.table)
            if hold.count is not None:
                fit({"$length": hold.count}, documents, hold.table)
            fit({"$has": filled(list(hold.has), self._known)}, documents, hold.table)

        await _within(hold.within_s, once)

    @look.register
    async def _declared(self, hold: Declared) -> None:
        table = (await self._deployment.tables()).get(hold.schema_of)
        if hold.absent or table is None:
            if hold.absent != (table is None):
                raise Misfit(f"the schema {'still declares' if table else 'does not declare'} {hold.schema_of}")
            return
        fields = (table.get("documentType") or {}).get("value", {})
        if missing := {*hold.fields, *hold.required} - set(fields):
            raise Misfit(f"{hold.schema_of} has no field {', '.join(sorted(missing))}")
        if optional := [name for name in hold.required if fields[name]["optional"]]:
            raise Misfit(f"{hold.schema_of} does not require {', '.join(optional)}")
        indexes = [index["fields"] for index in table.get("indexes", [])]
        if hold.index and not any(each[: len(hold.index)] == list(hold.index) for each in indexes):
            raise Misfit(f"{hold.schema_of} has no index on {', '.join(hold.index)}: {shown(indexes)}")

    @look.register
    async def _live(self, hold: Live) -> None:
        function = (await self._deployment.functions()).get(hold.live)
        found = "absent" if function is None else function["visibility"]["kind"]
        fit(hold.visibility, found, f"the visibility of {hold.live}")
        if function and hold.kind:
            fit(hold.kind, function["functionType"], f"the kind of {hold.live}")

    @look.register
    async def _http(self, hold: Http) -> None:
        known = {**self._known, "now": f"{time.time():.0f}"}
        body = None if hold.body is None else str(filled(hold.body, known))
        if hold.signed:
            text = filled(hold.signed.text, {**known, "body": body})
            known["signature"] = hmac.new(hold.signed.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        method, url = hold.http.split(" ")
        answer = await self._deployment.request(method, filled(url, known), filled(hold.headers, known), body)
        fit(hold.status, answer.status_code, f"the status of {hold.http}, which says {shown(answer.text)}")
        is_json = "json" in answer.headers.get("content-type", "")
        said = answer.json() if is_json else answer.text
        if "answers" in hold.model_fields_set:
            fit(filled(hold.answers, known), said, hold.http)
        if hold.save:
            self._known[hold.save] = said

    @look.register
    async def _source(self, hold: Source) -> None:
        path = anyio.Path(self._workspace, hold.file)
        there = await path.exists()
        if there is hold.absent:
            raise Misfit(f"{hold.file} is {'still' if there else 'not'} there")
        if hold.has is not None:
            fit({"$has": [hold.has]}, await path.read_text(), hold.file)


async def _within(seconds: float, look: Callable[[], Awaitable[None]]) -> None:
    """Look again until it fits, for *seconds* at most."""
    until = time.monotonic() + seconds
    while True:
        try:
            return await look()
        except Misfit:
            if time.monotonic() >= until:
                raise
        await anyio.sleep(_LOOK_EVERY_S)
