"""Pages and OAuth flows that wait for their person; taking one removes it in the same statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Table, delete, insert, select

from mcp_convex.domain.connections import OAuthFlow, PendingPage
from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.models import PrincipalId
from mcp_convex.domain.ports import PageStore
from mcp_convex.domain.secrets import VerifierValue
from mcp_convex.store.database import Database, decoding
from mcp_convex.store.dialects import database_clock
from mcp_convex.store.encryption import Cipher
from mcp_convex.store.tables import flows, pages, place


class SqlPageStore(PageStore):
    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    async def add(self, principal: PrincipalId, page: PendingPage) -> None:
        row = {
            "handle": page.handle,
            "principal": principal,
            "expires_at": _by_the_databases_clock(page.expires_at),
            "record": page.model_dump_json(),
        }
        await self._add(pages, row)

    async def find(self, handle: str) -> tuple[PrincipalId, PendingPage]:
        waits = pages.c.handle == handle, pages.c.expires_at > database_clock()
        async with self._database.asking() as connection:
            row = (await connection.execute(select(pages.c.principal, pages.c.record).where(*waits))).one_or_none()
        return _page(row)

    async def take(self, handle: str) -> tuple[PrincipalId, PendingPage]:
        waits = pages.c.handle == handle, pages.c.expires_at > database_clock()
        used_up = delete(pages).where(*waits).returning(pages.c.principal, pages.c.record)
        async with self._database.writing() as connection:
            row = (await connection.execute(used_up)).one_or_none()
        return _page(row)

    async def add_flow(self, principal: PrincipalId, flow: OAuthFlow, verifier: VerifierValue) -> None:
        row = {
            "principal": principal,
            "state": flow.state,
            "connection": flow.connection,
            "expires_at": _by_the_databases_clock(flow.expires_at),
            "record": flow.model_dump_json(),
            "verifier": self._cipher.seal(verifier.get_secret_value(), place(flows.c.verifier, principal, flow.state)),
        }
        await self._add(flows, row)

    async def take_flow(self, state: str) -> tuple[PrincipalId, OAuthFlow, VerifierValue]:
        """
        Use the flow up and return it.

        Raises:
            NotFound: It does not exist, is used, or has expired.
            StoreCorrupt: Its verifier cannot be decrypted with the keys at hand; the flow is used up all the same.
        """
        waits = flows.c.state == state, flows.c.expires_at > database_clock()
        used_up = delete(flows).where(*waits).returning(flows.c.principal, flows.c.record, flows.c.verifier)
        async with self._database.writing() as connection:
            row = (await connection.execute(used_up)).one_or_none()
        if row is None:
            raise _gone("The way back from Convex")
        principal, record, sealed = row
        with decoding():
            flow = OAuthFlow.model_validate_json(record)
        verifier = self._cipher.open(sealed, place(flows.c.verifier, principal, state))
        return PrincipalId(principal), flow, VerifierValue(SecretStr(verifier))

    async def _add(self, table: Table, row: Mapping[str, object]) -> None:
        async with self._database.writing() as connection:
            await connection.execute(delete(table).where(table.c.expires_at <= database_clock()))
            await connection.execute(insert(table).values(row))


def _by_the_databases_clock(moment: datetime) -> ColumnElement[float]:
    """Return *moment*, which this server's clock tells, for servers whose clocks tell other times."""
    return database_clock() + (moment - datetime.now(UTC)).total_seconds()


def _page(row: tuple[str, str] | None) -> tuple[PrincipalId, PendingPage]:
    if row is None:
        raise _gone("The page")
    principal, record = row
    with decoding():
        return PrincipalId(principal), PendingPage.model_validate_json(record)


def _gone(what: str) -> NotFound:
    return NotFound(f"{what} does not exist, is used, or has expired.", next_step="Ask for a new link.")
