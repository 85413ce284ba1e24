"""The push: one run of the CLI behind the gate, and the truth about what came of it."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import anyio

from mcp_convex.domain import paths
from mcp_convex.domain.diagnostics import next_step, parse_output
from mcp_convex.domain.errors import (
    AccessError,
    ActionNotAllowed,
    ConvexMcpError,
    ConvexUnreachable,
    CredentialRejected,
    NotFound,
    SandboxError,
    SandboxLost,
    UpstreamError,
)
from mcp_convex.domain.models import ConvexFunction, FilePath, PrincipalId, Target, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import (
    Command,
    DeploymentApi,
    Ended,
    Gate,
    GateSession,
    LeaseStore,
    NoProgress,
    Progress,
    PushStore,
    PushTerms,
    Reach,
    Sandbox,
)
from mcp_convex.domain.pushes import (
    REJECTIONS,
    STAGES,
    CheckResult,
    Diagnostic,
    FailureClass,
    GateVerdict,
    Outcome,
    Purpose,
    PushRecord,
    PushResult,
    Stage,
)
from mcp_convex.domain.secrets import redact
from mcp_convex.services.env_file import EnvFile
from mcp_convex.services.targets import TargetService

_LIVE_FUNCTIONS_S = 5.0
"""Seconds that a push waits to learn what is live, which it can do without."""

_RAW_TAIL = 4_000
_UNCHECKED = "The types were not checked: the functions have no tsconfig.json, or node_modules no TypeScript compiler."
_CONVEX_JSON = FilePath("convex.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPorts:
    """What a push needs of the outside."""

    sandbox: Sandbox
    gate: Gate
    api: DeploymentApi
    leases: LeaseStore
    pushes: PushStore


@dataclass(frozen=True, slots=True, kw_only=True)
class PushBounds:
    """In seconds."""

    deadline_s: float
    """Until a push is ended, not counting the time in which packages are installed."""
    lease_s: float
    """Until another process may push in the place of one that died in the midst of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One run of the CLI, over."""

    verdict: GateVerdict
    ended: Ended
    root: str
    """The project's folder as the CLI saw it."""
    duration_s: float


class PushService:
    def __init__(
        self,
        ports: PushPorts,
        targets: TargetService,
        policy: Policy,
        *,
        owner: tuple[PrincipalId, WorkspaceId],
        bounds: PushBounds,
    ) -> None:
        self._ports = ports
        self._targets = targets
        self._policy = policy
        self._principal, self._workspace = owner
        self._bounds = bounds
        self._env_file = EnvFile(ports.sandbox)

    async def push(
        self,
        *,
        preview: bool = False,
        consented: bool = False,
        agreed: frozenset[str] = frozenset(),
        progress: Progress | None = None,
    ) -> PushResult:
        """
        Push the workspace to its target, or with *preview* find out what a push would do.

        Args:
            consented: A person pushes themselves, and agrees to whatever the push removes.
            agreed: What `awaiting_consent` returned, once the person has said yes to it.

        Raises:
            BlockedByPolicy: The target is off limits, or the server is read-only.
            PushUnderWay: Another push to the same deployment, or from the same workspace, is running.
            SandboxError: The workspace cannot be made ready.
        """
        purpose: Purpose = "preview" if preview else "push"
        started = time.monotonic()
        try:
            reach = await self._reach()
        except (CredentialRejected, ActionNotAllowed, UpstreamError) as exc:
            return await self._kept(_unreached(exc, time.monotonic() - started))
        if not preview:
            self._policy.check_write(reach.target)
        async with self._ports.leases.hold(f"deployment:{reach.target.url}", ttl_s=self._bounds.lease_s):
            live_functions = await self._live_functions(reach)
            terms = PushTerms(
                purpose=purpose,
                reach=reach,
                deadline_s=max(0.0, self._bounds.deadline_s - (time.monotonic() - started)),
                consented=consented or reach.target.kind == "embedded",
                agreed=agreed,
                live_functions=live_functions,
            )
            run = await self._run_again_if_raced(terms, _Stages(progress or NoProgress()))
        result = self._concluded(purpose, reach, run)
        if result.outcome == "pushed":
            result = _with_notes(result, await self._point_app_at(reach.target))
        return await self._kept(result)

    async def awaiting_consent(self) -> frozenset[str]:
        """Return what the workspace's latest push needs a person's consent for; nothing if it does not."""
        async for record in self._ports.pushes.latest(self._principal, self._workspace):
            needed = record.result.diagnostics if record.result.failure == "needs_consent" else ()
            return frozenset(diagnostic.message for diagnostic in needed)
        return frozenset()

    async def check(self, progress: Progress | None = None) -> CheckResult:
        """
        Bundle and type-check the workspace's current sources without asking any deployment.

        Raises:
            PushUnderWay: The CLI already runs in this workspace.
            SandboxError: The workspace cannot be made ready.
        """
        terms = PushTerms(purpose="check", reach=None, deadline_s=self._bounds.deadline_s)
        run = await self._run_again_if_lost(terms, _Stages(progress or NoProgress()))
        failure, diagnostics = _findings("check", run)
        return CheckResult(
            ok=failure is None,
            failure=failure,
            diagnostics=diagnostics,
            next_step=next_step(_outcome("check", failure), failure, diagnostics),
            duration_s=run.duration_s,
            isolation=self._ports.sandbox.describe(),
            notes=self._ports.sandbox.take_notes(),
            raw_tail=_raw_tail(failure, run.ended),
        )

    async def get(self, push_id: str) -> PushRecord:
        """
        Return an earlier push.

        Raises:
            NotFound: There is none with that id.
        """
        return await self._ports.pushes.get(self._principal, push_id)

    async def _run_again_if_raced(self, terms: PushTerms, stages: _Stages) -> _Run:
        first = await self._run_again_if_lost(terms, stages)
        left_s = terms.deadline_s - first.duration_s
        if not _has_raced(first.verdict) or left_s <= 0:
            return first
        # An env var was changed while the push was under way: nothing went live, and the next run sees the change.
        second = await self._run_again_if_lost(replace(terms, deadline_s=left_s), stages)
        attempts = first.verdict.attempts + second.verdict.attempts
        return replace(
            second,
            verdict=second.verdict.model_copy(update={"attempts": attempts}),
            duration_s=first.duration_s + second.duration_s,
        )

    async def _run_again_if_lost(self, terms: PushTerms, stages: _Stages) -> _Run:
        """Run the CLI, and once more in another sandbox where the first one vanished under it."""
        started = time.monotonic()
        try:
            return await self._run(terms, stages)
        except SandboxLost:
            left_s = max(0.0, terms.deadline_s - (time.monotonic() - started))
            return await self._run(replace(terms, deadline_s=left_s), stages)

    async def _run(self, terms: PushTerms, stages: _Stages) -> _Run:
        started = time.monotonic()
        sandbox = self._ports.sandbox
        async with self._ports.leases.hold(f"workspace:{self._workspace}", ttl_s=self._bounds.lease_s):
            await sandbox.ensure(stages.reached)
            await stages.reached("bundling")
            terms = replace(terms, root=sandbox.seen_at(), linked=sandbox.linked_at())
            async with self._ports.gate.open(terms, stages.reached) as session:
                command = self._command(session, terms, await self._generated())
                try:
                    ended = await sandbox.exec(command, on_output=lambda _: None, until=session.settled)
                except SandboxLost:
                    if not session.verdict().live:
                        raise
                    ended = Ended(exit_code=None, output="")  # what is live is live, whatever becomes of the sandbox
                verdict = session.verdict()
        return _Run(verdict=verdict, ended=ended, root=str(sandbox.seen_at()), duration_s=time.monotonic() - started)

    async def _generated(self) -> FilePath:
        """Return where the CLI puts what it generates."""
        try:
            settings = paths.check_convex_json((await self._ports.sandbox.read(_CONVEX_JSON)).decode(errors="replace"))
        except NotFound:
            settings = {}
        return FilePath(f"{paths.functions_folder(settings)}/_generated")

    def _command(self, session: GateSession, terms: PushTerms, generated: FilePath) -> Command:
        # A project without a compiler, as one in JavaScript, is pushed unchecked as Convex itself would, and told so.
        typecheck = "enable" if terms.purpose == "check" else "try"
        flags = ("--typecheck", typecheck, "--tail-logs", "disable")
        key = session.placeholder.get_secret_value()
        at = ("--url", self._ports.sandbox.gate_url(session.url), "--admin-key", key)
        return Command(
            argv=(*self._ports.sandbox.convex_cli(), "dev", "--once", *at, *flags),
            gate=session.url,
            env={"CI": "1"},  # CI turns the CLI's telemetry off, which would hold its exit up without a network
            deadline_s=terms.deadline_s,
            # What a check generates knows no deployment, and would be looser than what stands there.
            keep=() if terms.purpose == "check" else (generated,),
        )

    def _concluded(self, purpose: Purpose, reach: Reach, run: _Run) -> PushResult:
        failure, diagnostics = _findings(purpose, run)
        outcome = _outcome(purpose, failure)
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
            notes=(*self._ports.sandbox.take_notes(), *self._unchecked(failure)),
            raw_tail=_raw_tail(failure, run.ended),
        )

    def _unchecked(self, failure: FailureClass | None) -> tuple[str, ...]:
        return () if failure or self._ports.sandbox.checks_types() else (_UNCHECKED,)

    async def _reach(self) -> Reach:
        with anyio.move_on_after(self._bounds.deadline_s):
            return await self._targets.reach()
        raise ConvexUnreachable(
            "The deployment did not say in time what it is.", next_step="Call `push` again in a minute."
        )

    async def _live_functions(self, reach: Reach) -> tuple[ConvexFunction, ...] | None:
        """Return what is live, or None where the deployment or the key does not tell: a push does not need it."""
        with suppress(ConvexMcpError), anyio.move_on_after(_LIVE_FUNCTIONS_S):
            return await self._ports.api.list_functions(reach)
        return None

    async def _kept(self, result: PushResult) -> PushResult:
        record = PushRecord(id=result.id, workspace=self._workspace, started_at=datetime.now(UTC), result=result)
        try:
            await self._ports.pushes.add(self._principal, record)
        except SandboxError as exc:  # the push is over: what came of it must reach the agent, recorded or not
            return _with_notes(result, (f"The push is not recorded: {exc.message}",))
        return result

    async def _point_app_at(self, target: Target) -> tuple[str, ...]:
        try:
            return await self._env_file.point_at(target)
        except ConvexMcpError as exc:  # the code is live, whatever becomes of this file
            return (f"`.env.local` could not be written: {exc.message}",)


class _Stages:
    """Turns the stages of a run into progress that only moves forward."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._furthest = -1

    async def reached(self, stage: Stage) -> None:
        if (at := STAGES.index(stage)) > self._furthest:
            self._furthest = at
            await self._progress.report(at, len(STAGES) - 1, stage)


def _with_notes(result: PushResult, notes: tuple[str, ...]) -> PushResult:
    return result.model_copy(update={"notes": (*result.notes, *notes)})


def _unreached(exc: ConvexMcpError, duration_s: float) -> PushResult:
    """Return the result of a push that the deployment turned away before it began."""
    failure: FailureClass = "auth" if isinstance(exc, AccessError) else "transient"
    return PushResult(
        outcome="failed",
        id=secrets.token_hex(4),
        stage="starting",
        failure=failure,
        next_step=exc.next_step,
        duration_s=round(duration_s, 3),
        diagnostics=(Diagnostic(code=exc.code, message=exc.message, source="convex"),),
    )


def _has_raced(verdict: GateVerdict) -> bool:
    codes = {diagnostic.code for diagnostic in verdict.diagnostics}
    return verdict.failure == "conflict" and verdict.reached == "finishing" and "RaceDetected" in codes


def _findings(purpose: Purpose, run: _Run) -> tuple[FailureClass | None, tuple[Diagnostic, ...]]:
    """Return why the run failed, or None. The gate is believed first; the CLI's word alone is never a success."""
    verdict = run.verdict
    if verdict.failure is not None:
        return verdict.failure, verdict.diagnostics
    if verdict.live if purpose == "push" else verdict.stopped:
        return None, verdict.diagnostics
    failure, diagnostics = parse_output(run.ended.output, run.root)
    if failure is None:
        failure = "timeout" if run.ended.timed_out else "tooling"
    return failure, (*verdict.diagnostics, *diagnostics)


def _outcome(purpose: Purpose, failure: FailureClass | None) -> Outcome:
    if failure is not None:
        return "rejected" if failure in REJECTIONS else "failed"
    done: dict[Purpose, Outcome] = {"push": "pushed", "preview": "previewed", "check": "checked"}
    return done[purpose]


def _raw_tail(failure: FailureClass | None, ended: Ended) -> str | None:
    return redact(ended.output[-_RAW_TAIL:]).strip() or None if failure == "tooling" else None
