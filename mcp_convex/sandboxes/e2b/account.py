"""The account at E2B: finds a workspace's sandbox, makes one, and ends what is left over."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import e2b
from pydantic import SecretStr

from mcp_convex.domain.errors import InstallFailed, SandboxError, SandboxLost, SettingsInvalid
from mcp_convex.domain.secrets import redact
from mcp_convex.sandboxes.e2b.box import LIFETIME_S, Box
from mcp_convex.sandboxes.e2b.failures import silent, translated
from mcp_convex.sandboxes.e2b.template import CPUS, MEMORY_MB, definition

_APP = "mcp-convex"
_BUILD_S = 1200.0
_ESSENCE = 600
"""Characters of E2B's own words in an error."""


@dataclass(frozen=True, slots=True)
class AccountSettings:
    api_key: SecretStr
    template: str
    internet: bool = False
    """Whether commands reach the internet. The gate does not need it."""
    api_url: str = "https://api.e2b.app"
    sandbox_url: str | None = None
    patience_s: float = 30.0
    """How long a call may take."""


class Account:
    def __init__(self, settings: AccountSettings) -> None:
        self._settings = settings
        self.patience_s = settings.patience_s * 1.5
        """In seconds; more than the SDK's limit, so that its own retries and errors come first."""
        client = e2b.E2B(
            api_key=settings.api_key.get_secret_value(),
            api_url=settings.api_url,
            sandbox_url=settings.sandbox_url,
            debug=False,
            request_timeout=settings.patience_s,
        )
        self._sandboxes = client.AsyncSandbox
        self._templates = client.AsyncTemplate

    async def find(self, tag: str) -> Box | None:
        """
        Attach to the newest sandbox that bears *tag*, resuming it where it is paused, and end the others.

        Raises:
            SandboxError: E2B does not answer, or not as it should.
        """
        found: Box | None = None
        for sandbox_id in await self._tagged(tag):
            if found is not None:
                await self._end(sandbox_id)
                continue
            found = await self._attached(sandbox_id)
        return found

    async def create(self, tag: str) -> Box:
        """
        Start a sandbox that bears *tag*.

        Raises:
            SandboxError: E2B does not start one.
        """
        key = uuid.uuid4().hex
        try:
            return await self._made(tag, key)
        except SandboxLost:  # or the answer was: by its key E2B knows the second request for the same
            return await self._made(tag, key)

    @property
    def template(self) -> str:
        """The name of what sandboxes are made from."""
        return self._settings.template

    @property
    def has_internet(self) -> bool:
        """Whether commands in the sandboxes reach the internet."""
        return self._settings.internet

    async def has_template(self) -> bool:
        """
        Say whether the account has the template.

        Raises:
            SandboxError: E2B does not answer, or does not accept the key.
        """
        name, _, tag = self.template.partition(":")
        try:
            async with translated(self.patience_s, silent):
                if not await self._templates.exists(self.template):
                    return False
                # It may have been said of the name alone: of another version.
                return not tag or tag in {known.tag for known in await self._templates.get_tags(name)}
        except SettingsInvalid as exc:
            if isinstance(exc.__cause__, e2b.TemplateException):  # the name is another account's, or can be nobody's
                return False
            raise

    async def build_template(self, folder: Path, on_line: Callable[[str], None]) -> None:
        """
        Build the template with the packages that the lock in *folder* names; takes minutes.

        Raises:
            InstallFailed: A step of it failed.
            SandboxError: E2B does not answer, or does not accept the key.
        """
        try:
            async with translated(_BUILD_S, silent):
                await self._templates.build(
                    definition(folder),
                    self.template,
                    cpu_count=CPUS,
                    memory_mb=MEMORY_MB,
                    on_build_logs=lambda entry: on_line(entry.message),
                )
        except SandboxLost as exc:
            if isinstance(exc.__cause__, e2b.BuildException):
                raise InstallFailed(
                    f"E2B could not build the template: {redact(str(exc.__cause__))[:_ESSENCE]}",
                    next_step="Look at the lines above, then call again.",
                ) from exc
            raise

    async def _made(self, tag: str, key: str) -> Box:
        async with translated(self.patience_s, silent):
            made = await self._sandboxes.create(
                self._settings.template,
                timeout=LIFETIME_S,
                metadata=_marks(tag),
                allow_internet_access=self._settings.internet,
                lifecycle={"on_timeout": "kill"},
                idempotency_key=key,
            )
            return Box(made, self.patience_s)

    async def _tagged(self, tag: str) -> list[str]:
        found: list[e2b.SandboxInfo] = []
        async with translated(self.patience_s, silent):
            pages = self._sandboxes.list(query=e2b.SandboxQuery(metadata=_marks(tag)))
            while pages.has_next:
                found += await pages.next_items()
        return [info.sandbox_id for info in sorted(found, key=lambda info: info.started_at, reverse=True)]

    async def _attached(self, sandbox_id: str) -> Box | None:
        """Attach to a sandbox; None where it ended meanwhile, or is ended, since it cannot be resumed any more."""
        try:
            async with translated(self.patience_s, silent):
                return Box(await self._sandboxes.connect(sandbox_id, timeout=LIFETIME_S), self.patience_s)
        except SandboxLost as exc:
            if not isinstance(exc.__cause__, (e2b.NotFoundException, e2b.GuestUnresponsiveException)):
                raise
            await self._end(sandbox_id)
            return None

    async def _end(self, sandbox_id: str) -> None:
        with suppress(SandboxError):  # its lifetime ends it
            async with translated(self.patience_s, silent):
                await self._sandboxes.kill(sandbox_id)


def _marks(tag: str) -> dict[str, str]:
    return {"app": _APP, "workspace": tag}
