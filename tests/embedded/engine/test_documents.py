"""What is stored: order, indexes, pages, searches, and that documents outlive kills, restarts and pushes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.doubles.engine_client import EngineClient, EngineRefused, running_engine
from tests.embedded.engine.conftest import go_live

pytestmark = pytest.mark.anyio


async def add_notes(engine: EngineClient, *ranks: int) -> list[str]:
    return [await engine.run("notes:add", {"body": f"note {rank}", "rank": rank}) for rank in ranks]


async def test_documents_keep_their_id_and_creation_time_after_a_kill(deployment: Path) -> None:
    async with running_engine(deployment) as engine:
        await go_live(engine)
        await add_notes(engine, 1, 2)
        before = await engine.documents("notes")
        await engine.kill()

    async with running_engine(deployment) as engine:
        await go_live(engine)
        assert before == await engine.documents("notes")
        await add_notes(engine, 3)
        assert [1, 2, 3] == [note["rank"] for note in await engine.documents("notes")]


async def test_a_torn_last_line_counts_as_never_written(deployment: Path) -> None:
    async with running_engine(deployment) as engine:
        await go_live(engine)
        await add_notes(engine, 1)
        await engine.kill()
    with (deployment / "data" / "journal.jsonl").open("a") as journal:
        journal.write('{"ts":"9","writes":[["","notes",100')

    async with running_engine(deployment) as engine:
        await go_live(engine)
        await add_notes(engine, 2)
        await engine.kill()
    async with running_engine(deployment) as engine:
        await go_live(engine)
        assert [1, 2] == [note["rank"] for note in await engine.documents("notes")]


async def test_a_journal_that_is_damaged_within_is_left_alone(deployment: Path) -> None:
    journal = deployment / "data" / "journal.jsonl"
    journal.parent.mkdir()
    journal.write_text('nonsense\n{"ts":"1","writes":[]}\n')

    async with running_engine(deployment) as engine:
        with pytest.raises(EngineRefused) as refused:
            await engine.request("open")

    assert "DataCorrupt" == refused.value.code
    assert journal.read_text().startswith("nonsense\n")


async def test_a_journal_of_many_changes_shrinks_when_it_is_opened(deployment: Path) -> None:
    async with running_engine(deployment) as engine:
        await go_live(engine)
        for _ in range(1200):
            await engine.run("notes:increment")
        await engine.kill()
    grown = (deployment / "data" / "journal.jsonl").stat().st_size

    async with running_engine(deployment) as engine:
        await go_live(engine)
        assert [1200] == [note["rank"] for note in await engine.documents("notes")]
    assert (deployment / "data" / "journal.jsonl").stat().st_size < grown / 100


async def test_a_quiet_engine_hands_its_data_to_the_next(deployment: Path) -> None:
    async with running_engine(deployment) as old, running_engine(deployment) as new:
        await go_live(old)
        await add_notes(old, 1)
        assert {"idle": True} == await old.request("quiesce", deadlineMs=1000)
        with pytest.raises(EngineRefused, match="NotLive"):
            await old.request("run", kind="query", path="notes:list", args={})
        await go_live(new)
        assert [1] == [note["rank"] for note in await new.documents("notes")]


async def test_a_quiet_engine_can_resume(engine: EngineClient) -> None:
    await add_notes(engine, 1)
    await engine.request("quiesce", deadlineMs=1000)
    await engine.request("resume")
    await add_notes(engine, 2)

    assert [1, 2] == [note["rank"] for note in await engine.documents("notes")]


async def test_values_are_ordered_across_their_types_as_in_convex(engine: EngineClient) -> None:
    ordered: list[Any] = [
        None,
        {"$integer": "/////////38="},
        -1.5,
        {"$float": "AAAAAAAAAIA="},
        0,
        7,
        False,
        True,
        "",
        "Z",
        "a",
        "é",
        "\ufffd",
        "\U0001f600",
        {"$bytes": "AA=="},
        {"$bytes": "AQ=="},
        [],
        [1],
        [1, 0],
        {"a": 1},
        {"b": 0},
    ]
    for value in reversed(ordered):
        await engine.run("notes:putThing", {"value": value})
    await engine.request("system", name="insert", args={"table": "things", "documents": [{}]})

    assert ["(none)", *ordered] == await engine.run("notes:things")


async def test_an_index_answers_ranges_in_both_directions(engine: EngineClient) -> None:
    await add_notes(engine, 3, 1, 4, 2)

    assert ["note 2", "note 3"] == await engine.run("notes:bodies", {"from": 2, "below": 4})
    assert ["note 4", "note 3", "note 2", "note 1"] == await engine.run("notes:bodies", {"order": "desc"})
    assert ["note 3", "note 2"] == await engine.run("notes:bodies", {"from": 2, "below": 4, "order": "desc"})


async def test_filters_and_limits_apply_in_order(engine: EngineClient) -> None:
    await add_notes(engine, 1, 2, 3, 4, 5)

    assert [1, 3] == await engine.run("notes:odd")


async def read_page(engine: EngineClient, cursor: str | None, end: str | None = None) -> dict[str, Any]:
    options: dict[str, Any] = {"numItems": 2, "cursor": cursor}
    answer = await engine.run(
        "notes:page", {"paginationOpts": options if end is None else {**options, "endCursor": end}}
    )
    return {**answer, "ranks": [note["rank"] for note in answer["page"]]}


async def test_pages_stay_put_while_documents_are_inserted(engine: EngineClient) -> None:
    await add_notes(engine, 10, 20, 30)
    first = await read_page(engine, None)
    await add_notes(engine, 15, 25)

    second = await read_page(engine, first["continueCursor"])
    third = await read_page(engine, second["continueCursor"])
    again = await read_page(engine, None, end=first["continueCursor"])

    assert [[10, 20], [25, 30], []] == [first["ranks"], second["ranks"], third["ranks"]]
    assert [False, False, True] == [first["isDone"], second["isDone"], third["isDone"]]
    assert [10, 15, 20] == again["ranks"]


async def test_patch_merges_and_removes_fields(engine: EngineClient) -> None:
    [note] = await add_notes(engine, 1)

    changed = await engine.run("notes:change", {"id": note})

    assert {"_id", "_creationTime", "body", "rank"} == set(changed)
    assert "patched" == changed["body"]


async def test_a_document_that_is_gone_cannot_be_deleted_again(engine: EngineClient) -> None:
    [note] = await add_notes(engine, 1)
    await engine.run("notes:remove", {"id": note})

    assert f"Delete on nonexistent document ID {note}" in await engine.failure("notes:remove", {"id": note})


async def test_search_finds_words_and_beginnings_of_the_last(engine: EngineClient) -> None:
    for rank, body in enumerate(["red apples and red pears", "a red apple", "green"]):
        await engine.run("notes:add", {"body": body, "rank": rank})

    assert {"red apples and red pears", "a red apple"} == set(await engine.run("notes:search", {"text": "red app"}))
    assert ["green"] == await engine.run("notes:search", {"text": "GREEN"})


async def test_vector_search_returns_the_nearest_of_a_kind(engine: EngineClient) -> None:
    near = await engine.run("notes:putPoint", {"at": [1, 0.1], "kind": "a"})
    far = await engine.run("notes:putPoint", {"at": [-1, 0], "kind": "a"})
    await engine.run("notes:putPoint", {"at": [1, 0], "kind": "b"})

    found = await engine.run("notes:nearest", {"to": [1, 0], "kind": "a"})

    assert [near, far] == [hit["_id"] for hit in found]
    assert found[0]["_score"] > 0.9


async def test_a_schema_that_does_not_fit_names_the_document(engine: EngineClient) -> None:
    [note] = await add_notes(engine, 1)
    schemas = (await engine.request("system", name="schemas", args={}))["schemas"]
    assert {"ok": True} == await engine.request("check", schemas=schemas)
    [notes] = [table for table in schemas[""]["tables"] if table["tableName"] == "notes"]
    notes["documentType"]["value"]["title"] = {"fieldType": {"type": "string"}, "optional": False}

    answer = await engine.request("check", schemas=schemas)

    assert ("", "notes", False) == (answer["component"], answer["table"], answer["ok"])
    assert answer["error"].startswith(
        f'Document with ID "{note}" in table "notes" does not match the schema: '
        "Object is missing the required field `title`. "
        "Consider wrapping the field validator in `v.optional(...)` if this is expected.\n\nObject: {"
    )


async def test_imported_documents_keep_their_ids(engine: EngineClient) -> None:
    document = {"_id": "m17an0x1kz8rswtbvw0hszxr2s72abcd", "_creationTime": 1.5, "name": "imported"}

    await engine.request("system", name="insert", args={"table": "authors", "documents": [document]})

    assert [document] == await engine.documents("authors")
    note = await engine.run("notes:add", {"body": "by her", "rank": 1, "author": document["_id"]})
    assert document["_id"] == (await engine.request("system", name="document", args={"id": note}))["document"]["author"]


async def test_an_import_that_does_not_fit_changes_nothing(engine: EngineClient) -> None:
    args = {"table": "authors", "documents": [{"name": "fits"}, {"name": 7}]}
    with pytest.raises(EngineRefused) as refused:
        await engine.request("system", name="insert", args=args)

    assert "InvalidDocument" == refused.value.code
    assert [] == await engine.documents("authors")


async def test_a_table_can_be_replaced_and_cleared(engine: EngineClient) -> None:
    await add_notes(engine, 1, 2)
    replaced = await engine.request(
        "system", name="replace", args={"table": "notes", "documents": [{"body": "new", "rank": 9}]}
    )

    assert {"deleted": 2, "inserted": 1} == replaced
    assert ["new"] == [note["body"] for note in await engine.documents("notes")]
    assert {"deleted": 1} == await engine.request("system", name="clear", args={"table": "notes"})


async def test_tables_are_listed_with_their_counts(engine: EngineClient) -> None:
    await add_notes(engine, 1, 2)

    tables = (await engine.request("system", name="tables", args={}))["tables"]

    assert {"name": "notes", "count": 2, "inSchema": True} in tables
    assert ["authors", "notes", "points", "things"] == [table["name"] for table in tables]
