"""The deployment's env vars: named, set where they are not secret, and typed by the person where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field, SecretStr

from mcp_convex.domain.connections import PendingPage
from mcp_convex.domain.env_vars import EnvVar, check_name, check_totals, check_value, listed, secret_reason
from mcp_convex.domain.errors import InvalidArguments, NotFound
from mcp_convex.domain.models import Model, PrincipalId, WorkspaceId
from mcp_convex.domain.ports import DeploymentApi, Reach, Sandbox
from mcp_convex.services.env_known import KnownEnvVars
from mcp_convex.services.env_needs import needed_env_vars
from mcp_convex.services.errands import Awaited, Errand, Opened, wait_while
from mcp_convex.services.pages import PageService
from mcp_convex.services.targets import TargetService

_LONGEST_REASON = 300


class EnvVars(Model):
    """The env vars of the deployment and those that the code asks for. Never a value."""

    deployment: str
    env_vars: tuple[EnvVar, ...]
    next_step: str


class EnvVarsChanged(Model):
    """Which env vars were changed, all of them in one transaction."""

    deployment: str
    set: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    next_step: str = "Functions see the change from their next call on."


class EnvVarRequested(Awaited):
    """How far the person has come with typing a value."""

    name: str
    is_set: bool = Field(description="Whether the deployment has a value for it now.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvVarPorts:
    """What env vars need of the outside, and who remembers their names."""

    api: DeploymentApi
    sandbox: Sandbox
    known: KnownEnvVars


class EnvVarService:
    def __init__(
        self,
        ports: EnvVarPorts,
        targets: TargetService,
        pages: PageService,
        *,
        owner: tuple[PrincipalId, WorkspaceId],
    ) -> None:
        self._ports = ports
        self._targets = targets
        self._pages = pages
        self._owner = owner

    async def list(self) -> EnvVars:
        """Return the names of what is set, of what the code asks for, and of what Convex manages."""
        reach = await self._targets.reach()
        there = await self._names(reach)
        found = listed(there, await needed_env_vars(self._ports.sandbox))
        return EnvVars(deployment=reach.target.name, env_vars=found, next_step=_advice(found))

    async def set(self, values: Mapping[str, str]) -> EnvVarsChanged:
        """
        Set *values*, all or none.

        Raises:
            InvalidArguments: A name is not valid, or a value looks like a secret, which only the person may type.
            TooLarge: There would be too many, or one is too large. No error repeats a value.
            BlockedByPolicy: The deployment may not be changed.
        """
        for name, value in values.items():
            check_name(name)
            check_value(name, value)
        _check_not_secret(values)
        reach = await self._targets.changeable()
        return await self._change(reach, values)

    async def unset(self, names: Sequence[str]) -> EnvVarsChanged:
        """
        Unset *names*, all or none; names that are not set are ignored.

        Raises:
            InvalidArguments: Convex manages one of them, or the live code declares it as required.
            BlockedByPolicy: The deployment may not be changed.
        """
        for name in names:
            check_name(name)
        reach = await self._targets.changeable()
        before = {*await self._names(reach)}
        if there := before & {*names}:
            await self._ports.api.set_env_vars(reach, dict.fromkeys(sorted(there)))
            self._ports.known.learn(reach.target, before - there)
        return EnvVarsChanged(deployment=reach.target.name, unset=tuple(sorted(there)))

    def requesting(self, name: str, why: str) -> Errand[EnvVarRequested]:
        """Return the errand of having the person type the value of *name*; *why* is the agent's reason."""
        check_name(name)
        return Errand(
            why=f"Open a page of mcp-convex to type the value of {name}. The agent does not see it.",
            begin=lambda: self._begin(name, " ".join(why.split())[:_LONGEST_REASON]),
            outcome=lambda handle, wait_s: self._outcome(name, handle, wait_s),
            declined=self._pages.close,
        )

    async def set_secret(self, principal: PrincipalId, page: PendingPage, value: SecretStr) -> str:
        """
        Set the env var that *page* asked *principal* for, on the deployment that it named.

        Returns:
            The name of the deployment.

        Raises:
            NotFound: The page is not of this principal and workspace, or asked for something else.
            InvalidArguments: The value is empty, or the workspace has another deployment by now.
            TooLarge: The value is too large, or there are too many env vars.
            BlockedByPolicy: The deployment may not be changed.
        """
        if (principal, page.workspace) != self._owner or page.purpose != "env_var":
            raise NotFound("There is no such page.", next_step="Ask for a new link.")
        name = page.subject["name"]
        if not value:
            raise InvalidArguments("The value is empty.", next_step="Type it and send the page again.")
        check_name(name)
        check_value(name, value.get_secret_value())
        reach = await self._targets.changeable()
        if reach.target.url != page.subject["url"]:
            raise InvalidArguments(
                f"This page was made for `{page.subject['deployment']}`, but the workspace has another deployment now.",
                next_step="Have the agent ask again.",
            )
        await self._change(reach, {name: value})
        return reach.target.name

    async def _begin(self, name: str, why: str) -> Opened:
        target = (await self._targets.changeable()).target
        subject = {"name": name, "why": why, "deployment": target.name, "url": target.url}
        return await self._pages.opened("env_var", subject)

    async def _outcome(self, name: str, handle: str, wait_s: float) -> EnvVarRequested:
        await wait_while(lambda: self._pages.waits(handle), wait_s)
        waiting = await self._pages.waits(handle)
        is_set = name in await self._names(await self._targets.reach())
        if waiting:
            step = "Wait for the person, then call `list_env_vars`."
        elif is_set:
            step = "Go on: functions see the value from their next call on."
        else:
            step = "Nothing was set. Ask the person what the page said, then call `request_env_var` again."
        return EnvVarRequested(name=name, waiting=waiting, is_set=is_set, next_step=step)

    async def _names(self, reach: Reach) -> tuple[str, ...]:
        names = await self._ports.api.list_env_vars(reach)
        self._ports.known.learn(reach.target, names)
        return names

    async def _change(self, reach: Reach, values: Mapping[str, str | SecretStr]) -> EnvVarsChanged:
        there = await self._names(reach)
        check_totals(there, {name: _size(value) for name, value in values.items()})
        await self._ports.api.set_env_vars(reach, values)
        self._ports.known.learn(reach.target, {*there, *values})
        return EnvVarsChanged(deployment=reach.target.name, set=tuple(sorted(values)))


def _size(value: str | SecretStr) -> int:
    return len((value.get_secret_value() if isinstance(value, SecretStr) else value).encode())


def _check_not_secret(values: Mapping[str, str]) -> None:
    reasons = {name: reason for name, value in sorted(values.items()) if (reason := secret_reason(name, value))}
    if reasons:
        said = "; ".join(f"`{name}`: {reason}" for name, reason in reasons.items())
        raise InvalidArguments(
            f"Nothing was set, since this looks secret: {said}.",
            next_step="Call `request_env_var` for each of these, so that the person types it; then set the rest.",
        )


def _advice(env_vars: Sequence[EnvVar]) -> str:
    missing = [each.name for each in env_vars if each.needed_by and not each.is_set and not each.optional]
    if not missing:
        return "Nothing that the code requires is missing."
    return (
        f"Missing: {', '.join(missing)}. Call `request_env_var` for what is secret, `set_env_vars` for the rest,"
        " `set_up_auth` for Convex Auth's keys; then push."
    )
