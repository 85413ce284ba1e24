"""The push: what it may do, and the truth about what came of it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import anyio

from mcp_convex.domain.dev_servers import DevPush
from mcp_convex.domain.diagnostics import GIVE_UP, STUBBORN, next_step
from mcp_convex.domain.env_vars import listed
from mcp_convex.domain.errors import (
    ActionNotAllowed,
    ConvexMcpError,
    ConvexUnreachable,
    CredentialRejected,
    NotFound,
    SandboxError,
    StaleBase,
    UpstreamError,
)
from mcp_convex.domain.models import ConvexFunction, PrincipalId, Target, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import (
    Announcements,
    DeploymentApi,
    DevServerStore,
    Progress,
    PushStore,
    PushTerms,
    Reach,
    Sandbox,
)
from mcp_convex.domain.ports.announcing import DEV_SERVER, PUSHES
from mcp_convex.domain.pushes import (
    ASKED_OF_A_PERSON,
    CheckResult,
    FailureClass,
    Purpose,
    PushRecord,
    PushResult,
    same_failure,
)
from mcp_convex.domain.snapshots import NewSnapshot, fingerprint
from mcp_convex.services.cli_runs import CliRun, CliRuns
from mcp_convex.services.conclusions import findings, missing_env_var, outcome_of, raw_tail, unreached
from mcp_convex.services.env_file import EnvFile
from mcp_convex.services.env_needs import needed_env_vars
from mcp_convex.services.push_turns import Asked, PushTurns
from mcp_convex.services.snapshots import LAST_PUSHED, SnapshotService
from mcp_convex.services.targets import TargetService

T = TypeVar("T")

_LIVE_FUNCTIONS_S = 5.0
"""Seconds that a push waits to learn what is live, which it can do without."""

_UNCHECKED = "The types were not checked: the functions have no tsconfig.json, or node_modules no TypeScript compiler."


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPorts:
    """What a push needs of the outside."""

    sandbox: Sandbox
    api: DeploymentApi
    pushes: PushStore
    announcements: Announcements
    dev_servers: DevServerStore


@dataclass(frozen=True, slots=True, kw_only=True)
class PushParts:
    """The services that a push is put together from."""

    cli: CliRuns
    targets: TargetService
    snapshots: SnapshotService


class PushService:
    def __init__(
        self,
        ports: PushPorts,
        parts: PushParts,
        policy: Policy,
        *,
        owner: tuple[PrincipalId, WorkspaceId],
        deadline_s: float,
    ) -> None:
        """
        Push the workspace *owner*.

        Args:
            deadline_s: Seconds until a push is ended, not counting the time in which packages are installed.
        """
        self._ports = ports
        self._cli = parts.cli
        self._targets = parts.targets
        self._snapshots = parts.snapshots
        self._policy = policy
        self._principal, self._workspace = owner
        self._deadline_s = deadline_s
        self._env_file = EnvFile(ports.sandbox)
        self._turns = PushTurns(
            pushes=ports.pushes,
            dev_servers=ports.dev_servers,
            sandbox=ports.sandbox,
            owner=owner,
            patience_s=deadline_s,
            alone=asyncio.Lock(),
        )

    async def push(
        self,
        *,
        preview: bool = False,
        consented: bool = False,
        agreed: frozenset[str] = frozenset(),
        restore: bool = False,
        progress: Progress | None = None,
    ) -> PushResult:
        """
        Push the workspace to its target, or with *preview* find out what a push would do.

        Where another is under way, wait as `PushTurns` says.

        Args:
            consented: A person pushes themselves, and agrees to whatever the push removes.
            agreed: What `awaiting_consent` returned, once the person has said yes to it.
            restore: Where the push is rejected, make the files what the last push made live.

        Raises:
            BlockedByPolicy: The target is off limits, or the server is read-only.
            PushUnderWay: Another process pushes to the same deployment, or from the same workspace.
            SandboxError: The workspace cannot be made ready.
        """
        asked = Asked("preview" if preview else "push", consented, agreed, restore)
        return await self._turns.take(asked, lambda: self._push(asked, progress))

    async def _push(self, asked: Asked, progress: Progress | None) -> PushResult:
        started = time.monotonic()
        try:
            reach = await self._reach()
        except (CredentialRejected, ActionNotAllowed, UpstreamError) as exc:
            sources = None if asked.purpose == "preview" else await self._sources()
            return await self._kept(unreached(exc, time.monotonic() - started), sources)
        if asked.purpose == "push":
            self._policy.check_write(reach.target)
        async with _beside(self._live_functions(reach)) as live_functions:
            terms = PushTerms(
                purpose=asked.purpose,
                reach=reach,
                deadline_s=max(0.0, self._deadline_s - (time.monotonic() - started)),
                consented=asked.consented or _is_for_trying(reach.target),
                agreed=asked.agreed,
                live_functions=live_functions,
            )
            run = await self._cli.run(terms, progress)
        result = self._concluded(asked.purpose, reach, run)
        new = None
        if result.outcome == "rejected" and asked.restore and asked.purpose == "push":
            result = await self._taken_back(result)
        elif result.outcome == "previewed":
            result = await self._with_missing_env_vars(result, reach)
        elif result.failure is None:
            result = _with_notes(result, await self._point_app_at(reach.target))
            new = self._snapshots.pushed(run.draft, result.id, run.verdict.modules) if run.draft else None
        sources = None if run.sources is None else fingerprint(run.sources)
        return await self._kept(await self._not_again_and_again(result), sources, new)

    async def awaiting_consent(self) -> frozenset[str]:
        """Return what the latest push or preview found that a person has to agree to, if the files are as they were."""
        async for record in self.latest():
            if _is_for_trying(record.result.target):
                break
            needed = frozenset(each.message for each in record.result.diagnostics if each.code in ASKED_OF_A_PERSON)
            are_those = needed and await self._sources() in {record.sources, record.previewed}
            return needed if are_those else frozenset()
        return frozenset()

    async def check(self, progress: Progress | None = None) -> CheckResult:
        """
        Bundle and type-check the workspace's current sources without asking any deployment.

        Raises:
            PushUnderWay: Another process runs the CLI in this workspace.
            SandboxError: The workspace cannot be made ready.
        """
        terms = PushTerms(purpose="check", reach=None, deadline_s=self._deadline_s)
        async with self._turns.alone:
            run = await self._cli.run(terms, progress)
        failure, diagnostics = findings("check", run)
        return CheckResult(
            ok=failure is None,
            failure=failure,
            diagnostics=diagnostics,
            next_step=next_step(outcome_of("check", failure), failure, diagnostics),
            duration_s=run.duration_s,
            isolation=self._ports.sandbox.describe(),
            notes=self._ports.sandbox.take_notes(),
            raw_tail=raw_tail(failure, run.ended),
        )

    async def aclose(self) -> None:
        """Let nothing begin any more."""
        await self._cli.aclose()

    async def get(self, push_id: str) -> PushRecord:
        """
        Return an earlier push.

        Raises:
            NotFound: There is none with that id.
        """
        return await self._ports.pushes.get(self._principal, push_id)

    def latest(self) -> AsyncIterator[PushRecord]:
        """Yield the workspace's pushes, newest first."""
        return self._ports.pushes.latest(self._principal, self._workspace)

    async def recent(self, count: int) -> tuple[DevPush, ...]:
        """Return the workspace's last *count* pushes in short, newest first."""
        found: list[DevPush] = []
        async for record in self.latest():
            if len(found) == count:
                break
            found.append(DevPush.of(record))
        return tuple(found)

    async def failed(self) -> tuple[str, ...]:
        """Return the ids of the workspace's latest pushes that failed, newest first."""
        return tuple([record.id async for record in self.latest() if record.result.failure is not None])

    def _concluded(self, purpose: Purpose, reach: Reach, run: CliRun) -> PushResult:
        failure, diagnostics = findings(purpose, run)
        outcome = outcome_of(purpose, failure)
        return PushResult(
            outcome=outcome,
            id=secrets.token_hex(4),
            stage="done" if failure is None else run.verdict.reached,
            failure=failure,
            next_step=next_step(outcome, failure, diagnostics),
            target=reach.target,
            duration_s=round(run.duration_s, 3),
            attempts=run.verdict.attempts,
            diagnostics=diagnostics,
            changes=run.verdict.changes,
            isolation=self._ports.sandbox.describe(),
            notes=(*self._ports.sandbox.take_notes(), *run.lacking, *self._unchecked(failure)),
            raw_tail=raw_tail(failure, run.ended),
        )

    def _unchecked(self, failure: FailureClass | None) -> tuple[str, ...]:
        return () if failure or self._ports.sandbox.checks_types() else (_UNCHECKED,)

    async def _reach(self) -> Reach:
        with anyio.move_on_after(self._deadline_s):
            return await self._targets.reach()
        raise ConvexUnreachable(
            "The deployment did not say in time what it is.", next_step="Call `push` again in a minute."
        )

    async def _live_functions(self, reach: Reach) -> tuple[ConvexFunction, ...] | None:
        """Return what is live, or None where the deployment or the key does not tell: a push does not need it."""
        with suppress(ConvexMcpError), anyio.move_on_after(_LIVE_FUNCTIONS_S):
            return await self._ports.api.list_functions(reach)
        return None

    async def _kept(self, result: PushResult, sources: str | None, new: NewSnapshot | None = None) -> PushResult:
        """Record what came of the push, and keep what it made live."""
        recorded = result.model_copy(update={"snapshot": new.snapshot.id}) if new else result
        record = PushRecord(
            id=result.id,
            workspace=self._workspace,
            started_at=datetime.now(UTC),
            result=recorded,
            sources=sources,
            previewed=await self._sources() if result.outcome == "previewed" else None,
        )
        try:
            await self._ports.pushes.add(self._principal, record, new)
        except SandboxError as exc:  # the push is over: what came of it must reach the agent, recorded or not
            lacking = "not recorded, and has no snapshot" if new else "not recorded"
            return _with_notes(result, (f"The push is {lacking}: {exc.message}",))
        await self._ports.announcements.updated(PUSHES, f"{PUSHES}/{result.id}", DEV_SERVER)
        return recorded

    async def _sources(self) -> str:
        return fingerprint(await self._ports.sandbox.list())

    async def _with_missing_env_vars(self, result: PushResult, reach: Reach) -> PushResult:
        """Name the env vars for want of which a push would be rejected at its end, which a preview does not reach."""
        try:
            there = await self._ports.api.list_env_vars(reach)
        except ConvexMcpError:
            return result
        known = listed(there, await needed_env_vars(self._ports.sandbox))
        missing = tuple(missing_env_var(env_var) for env_var in known if not (env_var.is_set or env_var.optional))
        return result.model_copy(update={"diagnostics": (*result.diagnostics, *missing)})

    async def _not_again_and_again(self, result: PushResult) -> PushResult:
        """Say to stop where the same failure has come too often in a row."""
        alike = 1
        if result.failure is not None:
            async for record in self.latest():
                if alike == STUBBORN or not same_failure(result, record.result):
                    break
                alike += 1
        return result if alike < STUBBORN else result.model_copy(update={"next_step": GIVE_UP})

    async def _taken_back(self, result: PushResult) -> PushResult:
        """Restore what the last push made live."""
        try:
            restored = await self._snapshots.restore(LAST_PUSHED)
        except (NotFound, StaleBase, SandboxError) as exc:
            return _with_notes(result, (f"The files were not restored: {exc.message}",))
        undo = f"; `restore_files` with `{restored.undo}` brings back what was refused" if restored.undo else ""
        said = f"The files are again what the last push made live (snapshot `{restored.snapshot}`){undo}."
        return _with_notes(result.model_copy(update={"snapshot": restored.snapshot}), (said,))

    async def _point_app_at(self, target: Target) -> tuple[str, ...]:
        try:
            return await self._env_file.point_at(target)
        except ConvexMcpError as exc:  # the code is live, whatever becomes of this file
            return (f"`.env.local` could not be written: {exc.message}",)


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, T]) -> AsyncGenerator[Callable[[], Awaitable[T]]]:
    """Do *work* while the block runs, and yield what waits for its result."""
    task = asyncio.create_task(work)
    try:
        yield lambda: asyncio.shield(task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _is_for_trying(target: Target | None) -> bool:
    """Say whether nobody else relies on *target*, so that nobody is asked before something goes."""
    return target is not None and target.kind == "embedded"


def _with_notes(result: PushResult, notes: tuple[str, ...]) -> PushResult:
    return result.model_copy(update={"notes": (*result.notes, *notes)})
