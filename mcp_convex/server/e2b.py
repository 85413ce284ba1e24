"""E2B as the settings say: the only place that asks whether the extra is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mcp_convex.domain.errors import SettingsInvalid, ToolMissing
from mcp_convex.server.place import find_asset
from mcp_convex.settings import Settings

if TYPE_CHECKING:
    from mcp_convex.sandboxes.e2b.account import Account


def e2b_account(settings: Settings) -> Account:
    """
    Return the operator's account at E2B. Slow at first: the SDK takes a third of a second to import.

    Raises:
        ToolMissing: The SDK is not installed.
        SettingsInvalid: There is no key, or what is no key.
    """
    if find_spec("e2b") is None:
        raise ToolMissing(
            "Sandboxes at E2B need its SDK, which is not installed.", next_step="Install `mcp-convex[e2b]`."
        )
    key = settings.e2b_api_key.get_secret_value().strip() if settings.e2b_api_key else ""
    if not key:
        raise SettingsInvalid("Sandboxes at E2B need an API key.", next_step="Set E2B_API_KEY.")
    if not (key.isascii() and key.isprintable()):  # it would be no header, and be told as E2B's silence
        raise SettingsInvalid("E2B_API_KEY holds what is no key.", next_step="Set E2B_API_KEY anew.")
    from mcp_convex.sandboxes.e2b.account import Account, AccountSettings  # noqa: PLC0415 - slow, and an extra
    from mcp_convex.sandboxes.e2b.template import NAME  # noqa: PLC0415 - as above

    return Account(
        AccountSettings(
            api_key=SecretStr(key),
            template=settings.e2b_template or NAME,
            internet=settings.e2b_internet,
            api_url=settings.e2b_api_url,
            sandbox_url=settings.e2b_sandbox_url,
        )
    )


async def has_template(settings: Settings) -> tuple[str, bool]:
    """
    Return the name of the template, and whether the account has it.

    Raises:
        SandboxError: As `e2b_account` says, or E2B does not answer.
    """
    account = await asyncio.to_thread(e2b_account, settings)
    return account.template, await account.has_template()


async def build_template(settings: Settings, on_line: Callable[[str], None]) -> str:
    """
    Build the template, tell *on_line* what E2B says of it, and return its name.

    Raises:
        SandboxError: As `e2b_account` says, or the template cannot be built.
    """
    account = await asyncio.to_thread(e2b_account, settings)
    await account.build_template(find_asset("sandbox_template"), on_line)
    return account.template
