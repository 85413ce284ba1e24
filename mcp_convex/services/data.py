"""Looking at tables and their documents."""

from __future__ import annotations

import re

from pydantic import JsonValue

from mcp_convex.domain.errors import NotFound
from mcp_convex.domain.models import Page, Tables
from mcp_convex.domain.ports import DeploymentApi, Reach
from mcp_convex.services.cursors import Cursors, Place
from mcp_convex.services.excerpts import check_limit, excerpt, fitting, size, size_of_model
from mcp_convex.services.suggestions import did_you_mean
from mcp_convex.services.targets import TargetService

MOST_DOCUMENTS = 200

_LARGEST_DOCUMENT = 4_000
"""Characters of JSON; a larger one is cut and marked."""
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
Document = dict[str, JsonValue]
_SYSTEM_TABLES = frozenset({"_storage", "_scheduled_functions"})


class DataService:
    def __init__(self, api: DeploymentApi, targets: TargetService, cursors: Cursors) -> None:
        self._api = api
        self._targets = targets
        self._cursors = cursors

    async def list_tables(self) -> Tables:
        """Return the tables, as many as fit into one answer."""
        found = await self._api.list_tables(await self._targets.reach())
        shown = fitting(found, size_of_model)
        return Tables(tables=found[:shown], omitted=len(found) - shown)

    async def read_table(
        self, table: str, *, limit: int = 20, cursor: str | None = None, newest_first: bool = True
    ) -> Page:
        """
        Return up to *limit* documents, fewer where they are large; long values are cut and marked.

        Raises:
            NotFound: No table is called *table*.
            InvalidArguments: *limit* or *cursor* is out of range.
        """
        check_limit(limit, MOST_DOCUMENTS)
        since = await self._cursors.find(cursor, table, newest_first=newest_first) if cursor else None
        reach = await self._targets.reach()

        async def read(most: int) -> Page:
            return await self._api.read_table(reach, table, limit=most, cursor=since, newest_first=newest_first)

        page = await read(limit) if _TABLE.fullmatch(table) else Page(table=table, documents=())
        if not page.documents and since is None:
            await self._check_exists(reach, table)
        shown = [_document(document) for document in page.documents]
        if (most := fitting(shown, size)) < len(shown):
            page = await read(most)  # a cursor goes with its own page, so the shorter page is asked for
            shown = [_document(document) for document in page.documents]
        next_cursor = None
        if page.cursor:
            place = Place(table=table, newest_first=newest_first, cursor=page.cursor)
            next_cursor = await self._cursors.keep(place)
        return Page(
            table=table,
            documents=tuple(shown),
            cursor=next_cursor,
            trimmed=any(cut is not whole for cut, whole in zip(shown, page.documents, strict=True)),
        )

    async def _check_exists(self, reach: Reach, table: str) -> None:
        # Convex answers for a table that it does not have as for one without documents.
        names = [known.name for known in await self._api.list_tables(reach)]
        if table not in {*names, *_SYSTEM_TABLES}:
            raise NotFound(
                f"No table is called `{table[:100]}`.",
                next_step=f"{did_you_mean(table, names)}Call `list_tables` to see the tables.",
            )


def _document(document: Document) -> Document:
    cut = excerpt(document, _LARGEST_DOCUMENT)
    return cut if isinstance(cut, dict) else {"_id": document.get("_id"), "…": cut}
