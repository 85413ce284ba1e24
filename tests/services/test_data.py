"""Looking at tables and documents, in answers that fit into an agent's context."""

from __future__ import annotations

import pytest

from mcp_convex.domain import errors
from mcp_convex.services.data import DataService
from tests.doubles.convex_deployment import ConvexDeployment, api_of
from tests.doubles.cursors import cursors
from tests.doubles.targets import targets_of

pytestmark = pytest.mark.anyio


def service(**documents) -> DataService:
    deployment = ConvexDeployment(documents=documents)
    return DataService(api_of(deployment), targets_of(deployment), cursors())


def rows(count: int, **fields) -> list[dict]:
    return [{"_id": f"n{i}", "_creationTime": float(i), **fields} for i in range(count)]


async def test_tables_are_listed():
    found = await service(notes=rows(3), channels=[]).list_tables()

    assert [("channels", 0), ("notes", 3)] == [(table.name, table.documents) for table in found.tables]


async def test_a_table_is_read_page_by_page_with_short_cursors():
    data = service(notes=rows(45))
    seen, cursor = [], None

    while True:
        page = await data.read_table("notes", cursor=cursor)
        seen += [document["_id"] for document in page.documents]
        if (cursor := page.cursor) is None:
            break
        assert len(cursor) <= 12

    assert [f"n{i}" for i in reversed(range(45))] == seen


async def test_large_documents_make_smaller_pages_that_miss_none():
    """The cursor of a shortened page goes on right after the last document that was shown."""
    data = service(notes=rows(30, body="x" * 3000))

    first = await data.read_table("notes", limit=30, newest_first=False)
    then = await data.read_table("notes", limit=30, newest_first=False, cursor=first.cursor)

    assert len(first.documents) < 30
    assert f"n{len(first.documents)}" == then.documents[0]["_id"]
    assert len(first.model_dump_json()) < 20_000
    assert not first.trimmed


async def test_a_huge_document_is_cut_with_marks():
    data = service(notes=rows(1, body="x" * 10**6, tags=["t"] * 10**4, **{f"field{i}": i for i in range(10**3)}))

    page = await data.read_table("notes")

    assert page.trimmed
    assert len(page.model_dump_json()) < 6000
    assert "… [" in str(page.documents[0])


async def test_an_unknown_table_names_the_nearest():
    """Convex itself answers as for an empty one."""
    with pytest.raises(errors.NotFound) as caught:
        await service(messages=[], channels=[]).read_table("mesages")

    assert "Did you mean `messages`?" in caught.value.next_step


@pytest.mark.parametrize("table", ["messages", "_storage", "_scheduled_functions"])
async def test_an_empty_table_is_no_error(table):
    assert () == (await service(messages=[]).read_table(table)).documents


@pytest.mark.parametrize("table", ["no such table", "../x", "", "x" * 10_000])
async def test_what_cannot_be_a_table_is_not_found(table):
    with pytest.raises(errors.NotFound) as caught:
        await service(messages=[]).read_table(table)

    assert len(caught.value.message) < 200


@pytest.mark.parametrize("more", [{"limit": 0}, {"limit": 201}, {"cursor": "forged"}, {"cursor": "a\0b"}])
async def test_arguments_out_of_range_are_refused(more):
    with pytest.raises(errors.InvalidArguments):
        await service(notes=rows(1)).read_table("notes", **more)


@pytest.mark.parametrize("other", [{"table": "channels"}, {"newest_first": False}])
async def test_a_cursor_is_for_the_table_and_the_order_it_came_from(other):
    data = service(notes=rows(3), channels=rows(3))
    first = await data.read_table("notes", limit=1)

    with pytest.raises(errors.InvalidArguments):
        await data.read_table(**({"table": "notes", "cursor": first.cursor} | other))
