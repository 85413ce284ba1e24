"""`mcp-convex audit export` beside a server that runs."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime

import anyio
import pytest
from sqlalchemy import insert

from mcp_convex.server.exporting import export_audit
from mcp_convex.store import open_data_dir
from mcp_convex.store.tables import audit_events
from tests.doubles.hosting import hosted, hosted_settings, tokens_file
from tests.store.records import NOW, event
from tests.system.spawning import command

pytestmark = pytest.mark.anyio


async def test_the_operator_exports_what_each_principal_has_changed(tmp_path):
    file, tokens = tokens_file(tmp_path, "alice", "bob")
    settings = hosted_settings(tmp_path, tokens_file=str(file))

    async def exported(since: datetime | None = None, principal: str | None = None) -> list[dict[str, object]]:
        lines: list[str] = []
        await export_audit(settings, lines.append, since=since, principal=principal)
        return [json.loads(line) for line in lines]

    async with hosted(settings, tokens) as host:
        for name in tokens:
            async with host.client(tokens[name]) as world:
                await world.write({f"convex/{name}.ts": "// c4n4ry\n"})
        events = await exported()
        one = [*command(settings, "audit", "export"), "--principal", "tokens-file bob", "--since", str(events[1]["at"])]
        assert events[1:] == [json.loads((await anyio.run_process(one)).stdout)]
        assert ["tokens-file alice", "tokens-file bob"] == [event["principal"] for event in events]
        assert {"principal", "at", "tool", "target", "arguments", "outcome", "duration_s"} == set(events[0])
        assert ("write_files", "ok") == (events[0]["tool"], events[0]["outcome"])
        assert "c4n4ry" not in json.dumps(events)
        assert events[1:] == await exported(principal="tokens-file bob")
        assert events[1:] == await exported(datetime.fromisoformat(str(events[1]["at"])))
        assert [] == await exported(datetime(2999, 1, 1, tzinfo=UTC))


async def test_a_reader_may_leave_before_the_end(tmp_path):
    settings = hosted_settings(tmp_path)
    async with open_data_dir(settings.data_dir) as store:
        rows = [{"principal": "ada", "at": NOW.timestamp(), "record": event(n).model_dump_json()} for n in range(5_000)]
        async with store._database.writing() as connection:
            await connection.execute(insert(audit_events), rows)
    done = await anyio.run_process(f"{shlex.join(command(settings, 'audit', 'export'))} | head -n 1")
    assert "tool0" == json.loads(done.stdout)["tool"]
    assert b"" == done.stderr
