"""The account at E2B: finds a workspace's sandbox, makes one, and ends what is left over."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import dataclass

import e2b
from pydantic import SecretStr

from mcp_convex.domain.errors import SandboxError, SandboxLost
from mcp_convex.sandboxes.e2b.box import LIFETIME_S, Box
from mcp_convex.sandboxes.e2b.failures import translated

_APP = "mcp-convex"
_UNLUCKY = 2
"""How often a sandbox is asked for when the answer is lost; E2B knows the second request for the same."""


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
        # More than the SDK's limit, so that its own retries and errors come first.
        self._patience_s = settings.patience_s * 1.5
        client = e2b.E2B(
            api_key=settings.api_key.get_secret_value(),
            api_url=settings.api_url,
            sandbox_url=settings.sandbox_url,
            debug=False,
            request_timeout=settings.patience_s,
        )
        self._sandboxes = client.AsyncSandbox

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
            with suppress(SandboxLost):  # it ended meanwhile, or cannot be resumed any more
                async with translated(self._patience_s):
                    attached = await self._sandboxes.connect(sandbox_id, timeout=LIFETIME_S)
                    found = Box(attached, self._patience_s)
        return found

    async def create(self, tag: str) -> Box:
        """
        Start a sandbox that bears *tag*.

        Raises:
            SandboxError: E2B does not start one.
        """
        key = uuid.uuid4().hex
        for attempt in range(1, _UNLUCKY + 1):
            try:
                async with translated(self._patience_s):
                    made = await self._sandboxes.create(
                        self._settings.template,
                        timeout=LIFETIME_S,
                        metadata=_marks(tag),
                        allow_internet_access=self._settings.internet,
                        lifecycle={"on_timeout": "kill"},
                        idempotency_key=key,
                    )
                    return Box(made, self._patience_s)
            except SandboxLost:
                if attempt == _UNLUCKY:
                    raise
        raise AssertionError

    async def _tagged(self, tag: str) -> list[str]:
        found: list[e2b.SandboxInfo] = []
        async with translated(self._patience_s):
            pages = self._sandboxes.list(query=e2b.SandboxQuery(metadata=_marks(tag)))
            while pages.has_next:
                found += await pages.next_items()
        return [info.sandbox_id for info in sorted(found, key=lambda info: info.started_at, reverse=True)]

    async def _end(self, sandbox_id: str) -> None:
        with suppress(SandboxError):  # its lifetime ends it
            async with translated(self._patience_s):
                await self._sandboxes.kill(sandbox_id)


def _marks(tag: str) -> dict[str, str]:
    return {"app": _APP, "workspace": tag}
