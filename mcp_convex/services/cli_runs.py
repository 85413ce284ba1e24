"""One run of the Convex CLI behind the gate, made again where another could go otherwise."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from mcp_convex.domain.errors import ConvexMcpError, SandboxError, SandboxLost, StaleBase
from mcp_convex.domain.models import FileEntry, FilePath, WorkspaceId
from mcp_convex.domain.ports import (
    Command,
    Ended,
    Gate,
    GateSession,
    HeldSession,
    LeaseStore,
    NoProgress,
    Progress,
    PushTerms,
    Reach,
    Sandbox,
    SourceChecks,
    Staged,
    TypeCheck,
)
from mcp_convex.domain.ports.checks import QueriedIndex
from mcp_convex.domain.ports.turns import Turn
from mcp_convex.domain.pushes import STAGES, GateVerdict, Purpose, Stage
from mcp_convex.domain.spans import Steps, span
from mcp_convex.services.project_files import functions_folder_of
from mcp_convex.services.snapshots import Draft, SnapshotService
from mcp_convex.services.staging import Staging
from mcp_convex.services.type_checks import Types


@dataclass(frozen=True, slots=True, kw_only=True)
class CliRun:
    """One run of the CLI, over."""

    verdict: GateVerdict
    ended: Ended
    root: str
    """The project's folder as the CLI saw it."""
    sources: tuple[FileEntry, ...] | None
    """What was pushed; None where nothing was to be."""
    draft: Draft | None
    """The sources with their contents; None where the push is not live."""
    duration_s: float
    lacking: tuple[str, ...] = ()
    """What went wrong beside a push that is live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CliPorts:
    """What a run needs of the outside."""

    sandbox: Sandbox
    gate: Gate
    leases: LeaseStore
    turn: Turn
    checks: SourceChecks


class CliRuns:
    """Runs the CLI in one workspace, never twice at a time."""

    def __init__(
        self, ports: CliPorts, snapshots: SnapshotService, *, workspace: WorkspaceId, lease_s: float, armed: bool
    ) -> None:
        """
        Run the CLI in *workspace*.

        Args:
            lease_s: Seconds until another process may go on in the place of one that died.
            armed: Keep a CLI loaded and waiting while the workspace is in use.
        """
        self._sandbox = ports.sandbox
        self._gate = ports.gate
        self._leases = ports.leases
        self._turn = ports.turn
        self._checks = ports.checks
        self._snapshots = snapshots
        self._workspace = workspace
        self._lease_s = lease_s
        self._armed = armed
        self._waiting: HeldSession | None = None
        self._arming: asyncio.Task[None] | None = None

    async def run(self, terms: PushTerms, progress: Progress | None) -> CliRun:
        """
        Run the CLI on the current sources, and once more where it lost a race or its sandbox.

        Raises:
            PushUnderWay: The CLI already runs in this workspace.
            SandboxError: The workspace cannot be made ready.
        """
        with span("convex dev", purpose=terms.purpose), _Stages(progress or NoProgress()).told() as stages:
            return await self._run_again_if_raced(terms, stages)

    async def _run_again_if_raced(self, terms: PushTerms, stages: _Stages) -> CliRun:
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

    async def _run_again_if_lost(self, terms: PushTerms, stages: _Stages) -> CliRun:
        """Run the CLI, and once more in another sandbox where the first one vanished under it."""
        started = time.monotonic()
        try:
            return await self._run(terms, stages)
        except SandboxLost:
            left_s = max(0.0, terms.deadline_s - (time.monotonic() - started))
            return await self._run(replace(terms, deadline_s=left_s), stages)

    async def _run(self, terms: PushTerms, stages: _Stages) -> CliRun:
        started = time.monotonic()
        sandbox = self._sandbox
        async with self._turn(stages.progress), self._leases.hold(*self._names(terms.reach), ttl_s=self._lease_s):
            await sandbox.ensure(stages.reached)
            await stages.reached("bundling")
            terms = replace(terms, root=sandbox.seen_at(), linked=sandbox.linked_at())
            held = await self._held(terms.purpose)
            async with Staging(self._snapshots.draft, self._origins) as staging, self._types(terms.purpose) as types:
                terms = replace(
                    terms,
                    staged=staging.is_in_place,
                    queried_indexes=partial(self._queried_indexes, staging),
                    origins=staging.origins,
                    types=types.fit if types else None,
                )
                async with held.open(terms, stages.reached) as session:
                    ended, lost = await self._ended(session, terms, staging)
                    verdict = session.verdict()
                draft, unread = await _read(staging) if verdict.live else (None, ())
        self.arm()
        return CliRun(
            verdict=verdict,
            ended=replace(ended, output=ended.output + types.complaint) if types else ended,
            root=str(sandbox.seen_at()),
            sources=staging.given.files if staging.given and terms.purpose == "push" else None,
            draft=draft,
            duration_s=time.monotonic() - started,
            lacking=(*lost, *unread),
        )

    async def _queried_indexes(self, staging: Staging) -> frozenset[QueriedIndex]:
        """Return the indexes that the sources which the CLI was given ask for, as far as they can be read."""
        with suppress(ConvexMcpError):
            if staging.given is not None:
                return await self._checks.queried_indexes(staging.given.files, staging.given.read)
        return frozenset()

    async def _origins(self, staged: Staged) -> Mapping[str, str]:
        with suppress(ConvexMcpError):
            return await self._checks.origins(staged.files, staged.read)
        return {}

    def _names(self, reach: Reach | None) -> tuple[str, ...]:
        """Return the names of the leases that a run holds."""
        deployment = () if reach is None else (f"deployment:{reach.target.url}",)
        return (f"workspace:{self._workspace}", *deployment)

    def arm(self) -> None:
        """Start a CLI in the background, which loads and waits for the next push, unless one waits already."""
        is_waiting = self._waiting is not None and self._waiting.is_waiting
        if self._armed and not is_waiting and (self._arming is None or self._arming.done()):
            self._arming = asyncio.create_task(self._arm())

    async def aclose(self) -> None:
        """Wait for what is being armed; the sandbox ends it when it is closed."""
        if self._arming is not None:
            await self._arming

    async def _arm(self) -> None:
        held = await self._gate.hold()
        try:
            is_armed = await self._sandbox.arm(self._command(held, "push"))
        except SandboxError:  # a push will say what is wrong
            is_armed = False
        if is_armed:
            self._waiting = held
        else:
            held.drop()

    async def _held(self, purpose: Purpose) -> HeldSession:
        """Return the session to come: that of the CLI which waits, if there is one."""
        if self._arming is not None:
            await self._arming
        if purpose != "check":
            held, self._waiting = self._waiting, None
            if held is not None and held.is_waiting:
                return held
        return await self._gate.hold()

    @asynccontextmanager
    async def _types(self, purpose: Purpose) -> AsyncGenerator[Types | None]:
        """Check the types beside the CLI; yield None where the CLI checks them itself."""
        if (check := self._type_check(purpose)) is None:
            yield None
        else:
            async with check:
                yield Types(check)

    def _type_check(self, purpose: Purpose) -> TypeCheck | None:
        return self._sandbox.type_check() if self._armed and purpose != "check" else None

    async def _ended(self, session: GateSession, terms: PushTerms, staging: Staging) -> tuple[Ended, tuple[str, ...]]:
        """Return how the CLI ended, and what of it was lost although the push is live."""
        # What a check generates knows no deployment, and would be looser than what stands there.
        keep = () if terms.purpose == "check" else (await _generated(self._sandbox),)
        command = replace(
            self._command(session, terms.purpose),
            deadline_s=terms.deadline_s,
            keep=keep,
            on_staged=staging.take,
        )
        try:
            return await self._sandbox.exec(command, on_output=lambda _: None, until=session.settled), ()
        except SandboxError as exc:
            if not session.verdict().live:
                raise
            # What is live is live, whatever becomes of the sandbox, or of what the CLI generated there.
            return Ended(exit_code=None, output=""), (
                f"It is live, but what the CLI generated was not kept: {exc.message}",
            )
        finally:
            staging.give_up()

    def _command(self, session: GateSession | HeldSession, purpose: Purpose) -> Command:
        # A project without a compiler, as one in JavaScript, is pushed unchecked as Convex itself would, and told so.
        unless_beside = "enable" if purpose == "check" else "try"
        typecheck = unless_beside if self._type_check(purpose) is None else "disable"
        flags = ("--typecheck", typecheck, "--tail-logs", "disable")
        key = session.placeholder.get_secret_value()
        at = ("--url", self._sandbox.gate_url(session.url), "--admin-key", key)
        return Command(
            argv=(*self._sandbox.convex_cli(), "dev", "--once", *at, *flags),
            gate=session.url,
            env={"CI": "1"},  # CI turns the CLI's telemetry off, which would hold its exit up without a network
            deadline_s=math.inf,
        )


class _Stages:
    """Turns the stages of a run into progress that only moves forward."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._steps = Steps()
        self._furthest = -1

    @contextmanager
    def told(self) -> Generator[Self]:
        """End the last stage with the block."""
        try:
            yield self
        finally:
            self._steps.end()

    async def reached(self, stage: Stage) -> None:
        if (at := STAGES.index(stage)) > self._furthest:
            self._furthest = at
            self._steps.begin(stage)
            await self.progress.report(at, len(STAGES) - 1, stage)


async def _generated(sandbox: Sandbox) -> FilePath:
    """Return the folder that the CLI generates."""
    return FilePath(f"{await functions_folder_of(sandbox)}/_generated")


async def _read(staging: Staging) -> tuple[Draft | None, tuple[str, ...]]:
    """Return what was pushed, or why it cannot be told any more: the code is live in any case."""
    try:
        return await staging.draft(), ()
    except (StaleBase, SandboxError) as exc:
        return None, (f"The push has no snapshot: {exc.message}",)


def _has_raced(verdict: GateVerdict) -> bool:
    codes = {diagnostic.code for diagnostic in verdict.diagnostics}
    return verdict.failure == "conflict" and verdict.reached == "finishing" and "RaceDetected" in codes
