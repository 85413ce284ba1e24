"""Everything that is wrong with the sources: by the offline checks, and beside them by bundler and compiler."""

from __future__ import annotations

import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import anyio

from mcp_convex.domain.diagnostics import next_step
from mcp_convex.domain.errors import ConvexMcpError
from mcp_convex.domain.ports import DeploymentApi, Progress, Sandbox, SourceChecks
from mcp_convex.domain.pushes import CheckResult, Diagnostic, FailureClass
from mcp_convex.services.change_checks import ENV_NEEDED
from mcp_convex.services.env_known import KnownEnvVars
from mcp_convex.services.pushes import PushService
from mcp_convex.services.targets import TargetService

_MOST = 50
"""Diagnostics in one answer."""
_ENV_VARS_S = 2.0
"""Seconds in which a deployment has to say which env vars it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCheckPorts:
    """What checking needs of the outside, and who remembers the env vars."""

    checks: SourceChecks
    sandbox: Sandbox
    api: DeploymentApi
    known: KnownEnvVars


class SourceCheckService:
    def __init__(self, ports: SourceCheckPorts, pushes: PushService, targets: TargetService) -> None:
        self._ports = ports
        self._pushes = pushes
        self._targets = targets

    async def check(self, progress: Progress | None = None, *, types: bool = True) -> CheckResult:
        """
        Return what is wrong with the workspace: by the offline checks, and with *types* also by bundler and compiler.

        Raises:
            PushUnderWay: The CLI already runs in this workspace.
            SandboxError: The workspace cannot be made ready.
        """
        started = time.monotonic()
        found = await self._found()
        if types:
            return _joined(await self._pushes.check(progress), found)
        failure = _failure(found)
        return CheckResult(
            ok=failure is None,
            failure=failure,
            diagnostics=found[:_MOST],
            next_step=next_step("rejected" if failure else "checked", failure, found),
            duration_s=round(time.monotonic() - started, 3),
        )

    async def _found(self) -> tuple[Diagnostic, ...]:
        files, read = await self._ports.sandbox.list(), self._ports.sandbox.read
        found = await self._ports.checks.check(files, read)
        if not any(each.code == ENV_NEEDED for each in found):
            return found  # whatever the deployment has set, nothing is missing: it need not be asked
        if (there := await self._env_vars()) is None:
            return found
        return await self._ports.checks.check(files, read, env_vars=there)

    async def _env_vars(self) -> tuple[str, ...] | None:
        """Return the names that are set, or None where the deployment does not say."""
        with suppress(ConvexMcpError), anyio.move_on_after(_ENV_VARS_S):
            reach = await self._targets.reach()
            names = await self._ports.api.list_env_vars(reach)
            self._ports.known.learn(reach.target, names)
            return names
        return None


def _failure(found: Collection[Diagnostic]) -> FailureClass | None:
    codes = {each.code for each in found if each.severity == "error"}
    if not codes:
        return None
    return "env_missing" if codes == {"env_in_auth"} else "source"


def _joined(result: CheckResult, found: tuple[Diagnostic, ...]) -> CheckResult:
    """Return the compiler's *result* with what the checks *found* and the compiler did not."""
    said = {(each.file, each.line) for each in result.diagnostics}
    more = tuple(each for each in found if (each.file, each.line) not in said)
    rank = {"error": 0, "warning": 1, "note": 2}
    diagnostics = tuple(sorted((*result.diagnostics, *more), key=lambda each: rank[each.severity]))[:_MOST]
    failure = _failure(more)
    if not result.ok or failure is None:
        return result.model_copy(update={"diagnostics": diagnostics})
    advice = next_step("rejected", failure, diagnostics)
    return result.model_copy(update={"ok": False, "failure": failure, "next_step": advice, "diagnostics": diagnostics})
