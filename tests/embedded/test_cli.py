"""The real CLI, command by command, against one deployment."""

from __future__ import annotations

import json
import zipfile
from collections.abc import AsyncIterator

import anyio
import pytest

from tests.doubles.embedded import CHAT, Running, running

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def chat(tmp_path_factory, anyio_backend) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("cli"), CHAT) as deployment:
        pushed = await deployment.push("enable")
        assert 0 == pushed.code, pushed.said
        assert "Convex functions ready!" in pushed.said
        yield deployment


async def test_a_push_leaves_the_public_urls_and_no_key_in_the_project(chat: Running) -> None:
    written = (chat.project / ".env.local").read_text()

    assert f"CONVEX_URL={chat.reach.target.url}" in written
    assert f"CONVEX_SITE_URL={chat.reach.target.site_url}" in written
    assert chat.key not in written


async def test_a_function_is_run_and_its_data_are_listed(chat: Running) -> None:
    sent = await chat.convex("run", "messages:send", '{"author": "ada", "body": "hello"}')
    tables = await chat.convex("data")
    rows = await chat.convex("data", "messages", "--format", "jsonLines")

    assert 0 == sent.code
    assert "sending" in sent.said
    assert "messages" == tables.out.strip()
    assert '"body": "hello"' in rows.out
    assert json.loads(sent.out) in rows.out


async def test_an_action_and_an_internal_function_are_run(chat: Running) -> None:
    announced = await chat.convex("run", "messages:announce", '{"body": "news"}')
    hidden = await chat.convex("run", "messages:hidden")

    assert 0 == announced.code
    assert '"for admins"\n' == hidden.out


async def test_a_function_acts_as_the_identity_that_is_asked_for(chat: Running) -> None:
    ran = await chat.convex("run", "messages:me", "--identity", '{"name": "Ada", "subject": "u1"}')

    assert ("Ada", "u1") == (json.loads(ran.out)["name"], json.loads(ran.out)["subject"])


async def test_a_function_that_throws_fails_with_its_error_and_place(chat: Running) -> None:
    failed = await chat.convex("run", "messages:boom")

    assert 1 == failed.code
    assert "Server Error\nUncaught Error: boom\n    at handler (../convex/messages.ts:" in failed.said


async def test_an_unknown_function_is_answered_with_those_there_are(chat: Running) -> None:
    failed = await chat.convex("run", "messages:nope")

    assert 1 == failed.code
    assert "Could not find function for 'messages:nope'" in failed.said
    assert "• messages:send" in failed.said


async def test_env_vars_are_set_read_and_removed(chat: Running) -> None:
    was_set = await chat.convex("env", "set", "GREETING", "hi there")
    got = await chat.convex("env", "get", "GREETING")
    listed = await chat.convex("env", "list", "--include-values")
    seen = await chat.value("query", "messages:env")
    removed = await chat.convex("env", "remove", "GREETING")

    assert [0, 0] == [was_set.code, removed.code]
    assert "hi there\n" == got.out
    assert "GREETING=hi there\n" == listed.out
    assert "hi there" == seen
    assert await chat.value("query", "messages:env") is None


async def test_the_function_spec_names_kinds_and_validators(chat: Running) -> None:
    spec = json.loads((await chat.convex("function-spec")).out)
    functions = {found.get("identifier") or found["path"]: found for found in spec["functions"]}

    assert chat.reach.target.url == spec["url"]
    assert "Mutation" == functions["messages.js:send"]["functionType"]
    assert {"type": "string"} == functions["messages.js:send"]["args"]["value"]["body"]["fieldType"]
    assert {"kind": "internal"} == functions["messages.js:hidden"]["visibility"]
    assert ("HttpAction", "POST") == (functions["/echo"]["functionType"], functions["/echo"]["method"])


async def test_a_query_that_is_sent_along_is_run_read_only(chat: Running) -> None:
    read = await chat.convex("run", "--inline-query", 'await ctx.db.query("messages").take(1)')
    wrote = await chat.convex("run", "--inline-query", 'await ctx.db.insert("messages", {author: "x", body: "y"})')

    assert 1 == len(json.loads(read.out))
    assert 0 != wrote.code


async def test_logs_tell_which_function_ran_and_what_it_said(chat: Running) -> None:
    command = ["node", "node_modules/convex/dist/cli.bundle.cjs", "logs", "--history", "10", "--jsonl", *chat.target]
    async with await anyio.open_process(command, cwd=chat.project, env=chat.environment, stderr=None) as logs:
        assert logs.stdout
        seen = ""
        with anyio.fail_after(60):
            await chat.value("mutation", "messages:send", {"author": "logger", "body": "to the log"})
            while "to the log" not in seen:
                seen += (await logs.stdout.receive()).decode()
        logs.terminate()
    entry = next(json.loads(line) for line in seen.splitlines() if "to the log" in line)

    assert ("messages:send", "Mutation", None) == (
        entry["identifier"].replace(".js", ""),
        entry["udfType"],
        entry["error"],
    )
    assert entry["requestId"]
    assert entry["executionTime"] >= 0


async def test_logs_are_answered_at_once_to_who_does_not_wait(chat: Running) -> None:
    with anyio.fail_after(30):
        said = await chat.http.get(
            "/api/stream_function_logs?cursor=9e15&wait_s=0", headers={"Authorization": f"Convex {chat.key}"}
        )

    assert {"entries": [], "newCursor": 9e15} == said.json()


async def test_a_snapshot_is_exported_and_imported_again(chat: Running) -> None:
    upload_url = await chat.value("mutation", "files:uploadUrl")
    stored = (await chat.http.post(upload_url, content=b"kept", headers={"content-type": "text/plain"})).json()
    before = await chat.value("query", "messages:list")
    exported = await chat.convex("export", "--path", ".", "--include-file-storage")
    [snapshot] = chat.project.glob("snapshot_*.zip")
    await chat.value("mutation", "messages:send", {"author": "late", "body": "goes away"})
    imported = await chat.convex("import", "--replace-all", "-y", snapshot.name)

    assert 0 == exported.code, exported.said
    with zipfile.ZipFile(snapshot) as archive:
        assert {"messages/documents.jsonl", f"_storage/{stored['storageId']}"} <= set(archive.namelist())
    assert 0 == imported.code, imported.said
    assert "table `_storage`: 1 files to add" in imported.said
    assert before == await chat.value("query", "messages:list")
    kept = await chat.http.get(await chat.value("query", "files:url", {"id": stored["storageId"]}))
    assert (b"kept", "text/plain") == (kept.content, kept.headers["content-type"].partition(";")[0])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.jsonl", '{"author": "imp", "body": "1"}\n{"author": "imp", "body": "2"}\n'),
        ("rows.json", '[{"author": "imp", "body": "1"}, {"author": "imp", "body": "2"}]'),
        ("rows.csv", "author,body\nimp,one\nimp,two\n"),
    ],
)
async def test_a_table_is_imported_from_each_format(chat: Running, name: str, content: str) -> None:
    (chat.project / name).write_text(content)
    before = len(await chat.value("query", "messages:list"))
    imported = await chat.convex("import", "--table", "messages", "--append", name)

    assert 0 == imported.code, imported.said
    assert "Added 2 documents" in imported.said
    assert before + 2 == len(await chat.value("query", "messages:list"))


async def test_an_import_that_does_not_fit_the_schema_changes_nothing(chat: Running) -> None:
    (chat.project / "wrong.jsonl").write_text('{"author": "imp", "body": "fits"}\n{"author": 7}\n')
    before = await chat.value("query", "messages:list")
    imported = await chat.convex("import", "--table", "messages", "--append", "wrong.jsonl")

    assert 1 == imported.code
    assert "messages" in imported.said
    assert before == await chat.value("query", "messages:list")


async def test_an_import_asks_before_a_table_that_holds_documents(chat: Running) -> None:
    (chat.project / "rows.jsonl").write_text('{"author": "imp", "body": "1"}\n')
    await chat.value("mutation", "messages:send", {"author": "ada", "body": "here already"})
    imported = await chat.convex("import", "--table", "messages", "rows.jsonl")

    assert 1 == imported.code
    assert "holds documents already" in imported.said


async def test_deploy_pushes_without_a_question(chat: Running) -> None:
    deployed = await chat.convex("deploy", "-y", "--typecheck", "disable")

    assert 0 == deployed.code, deployed.said
    assert f"Deployed Convex functions to {chat.reach.target.url}" in deployed.said
