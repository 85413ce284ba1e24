"""The loopback E2B and what talks to it, put together for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from mcp_convex.domain.models import LOCAL_PRINCIPAL, WorkspaceId
from mcp_convex.sandboxes.e2b.account import Account, AccountSettings
from mcp_convex.sandboxes.e2b.sandbox import E2BSandbox
from mcp_convex.sandboxes.e2b.template import NAME
from mcp_convex.store.store import Store
from tests.doubles.e2b.box import BoxTemplate
from tests.doubles.e2b.cloud import API_KEY, E2BCloud
from tests.doubles.projects import TEMPLATE, installed_packages


@asynccontextmanager
async def loopback_e2b(folder: Path) -> AsyncIterator[E2BCloud]:
    """Serve an E2B whose account has our template."""
    cloud = E2BCloud(folder, BoxTemplate(NAME, installed_packages()))
    async with cloud.serving():
        yield cloud


def open_account(cloud: E2BCloud, key: str = API_KEY, **about: Any) -> Account:
    settings = {"template": NAME, "api_url": cloud.url, "sandbox_url": cloud.url, **about}
    return Account(AccountSettings(api_key=SecretStr(key), **settings))


def open_sandbox(cloud: E2BCloud, store: Store, workspace: str, **about: Any) -> E2BSandbox:
    owner = (LOCAL_PRINCIPAL, WorkspaceId(workspace))
    return E2BSandbox(open_account(cloud, **about), store.journal, TEMPLATE, owner=owner)
