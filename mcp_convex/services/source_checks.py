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
from mcp_convex.services.pushes import PushService
from mcp_convex.services.targets import TargetService

_MOST = 50
"""Diagnostics in one answer."""
_OF_ENV_VARS = frozenset({"env_in_auth", "env_unset"})
"""What depends on the env vars that are set."""
_ENV_VARS_S = 2.0
"""Seconds in which a deployment has to say which env vars it has, else nothing is said of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCheckPorts:
    """What checking needs of the outside."""

    checks: SourceChecks
    sandbox: Sandbox
    api: DeploymentApi


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
        found = await self._found(with_env_vars=types)
        if types:
            return _joined(await self._pushes.check(progress), found)
        ok = not _errors(found)
        failure: FailureClass | None = None if ok else "source"
        return CheckResult(
            ok=ok,
            failure=failure,
            diagnostics=found[:_MOST],
            next_step=next_step("checked" if ok else "rejected", failure, found),
            duration_s=round(time.monotonic() - started, 3),
        )

    async def _found(self, *, with_env_vars: bool) -> tuple[Diagnostic, ...]:
        files, read = await self._ports.sandbox.list(), self._ports.sandbox.read
        found = await self._ports.checks.check(files, read, env_vars=() if with_env_vars else None)
        if not any(each.code in _OF_ENV_VARS for each in found):
            return found  # whatever the deployment has set, nothing is missing: it need not be asked
        return await self._ports.checks.check(files, read, env_vars=await self._env_vars())

    async def _env_vars(self) -> tuple[str, ...] | None:
        """Return the names that are set, or None where the deployment does not say: the checks do without."""
        with suppress(ConvexMcpError), anyio.move_on_after(_ENV_VARS_S):
            return await self._ports.api.list_env_vars(await self._targets.reach())
        return None


def _errors(found: Collection[Diagnostic]) -> list[Diagnostic]:
    return [each for each in found if each.severity == "error"]


def _joined(result: CheckResult, found: tuple[Diagnostic, ...]) -> CheckResult:
    """Return the compiler's *result* with what the checks *found* and the compiler did not."""
    said = {(each.file, each.line) for each in result.diagnostics}
    more = tuple(each for each in found if (each.file, each.line) not in said)
    rank = {"error": 0, "warning": 1, "note": 2}
    diagnostics = tuple(sorted((*result.diagnostics, *more), key=lambda each: rank[each.severity]))[:_MOST]
    if not result.ok or not _errors(more):
        return result.model_copy(update={"diagnostics": diagnostics})
    advice = next_step("rejected", "source", diagnostics)
    return result.model_copy(update={"ok": False, "failure": "source", "next_step": advice, "diagnostics": diagnostics})
