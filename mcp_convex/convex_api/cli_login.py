"""The login that Convex's own CLI keeps for this machine's person, in a folder such as `~/.convex`."""

from __future__ import annotations

from pathlib import Path

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from mcp_convex.domain.errors import NotConnected
from mcp_convex.domain.ports import CliLogin
from mcp_convex.domain.secrets import AccessTokenValue


class _Config(BaseModel):
    """The CLI's file (1.48), of which only the token matters."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    access_token: SecretStr = Field(alias="accessToken", min_length=1)


class CliLoginFile(CliLogin):
    def __init__(self, folder: Path) -> None:
        self._file = folder / "config.json"

    def exists(self) -> bool:
        return self._file.is_file()

    async def read(self) -> AccessTokenValue:
        return await anyio.to_thread.run_sync(self._read)

    def _read(self) -> AccessTokenValue:
        try:
            config = _Config.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            raise NotConnected(
                "The Convex CLI keeps no login on this machine.",
                next_step="Run `npx convex login`, or choose another way.",
            ) from None
        return AccessTokenValue(config.access_token)
