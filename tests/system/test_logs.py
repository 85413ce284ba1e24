"""What a server's process writes to standard error."""

from __future__ import annotations

import json
import signal

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from tests.doubles.hosting import DISCOVER, HEADERS, Hosted, hosted_settings, tokens_file
from tests.system.spawning import command

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("form", ["json", "text"])
async def test_a_line_tells_the_request_the_tool_and_what_came_of_it_and_no_argument(tmp_path, form):
    settings, (file, tokens) = hosted_settings(tmp_path), tokens_file(tmp_path, "alice")
    flags = ["--listen-port", "0", "--tokens-file", str(file), "--log-level", "info", "--log-format", form]
    async with await anyio.open_process([*command(settings, "serve"), *flags]) as process:
        with anyio.fail_after(60):
            said = await TextReceiveStream(process.stdout).receive()
            host = Hosted(settings, url=said.removeprefix("Serving at ").strip().rstrip("."))
            calling = {**HEADERS, "Mcp-Method": "tools/call", "Mcp-Name": "write_files", "X-Request-Id": "backend-7"}
            changes = [{"path": "convex/c4n4ry.ts", "content": "// c4n4ry\n"}]
            params = {**DISCOVER["params"], "name": "write_files", "arguments": {"changes": changes}}
            async with host.http(tokens["alice"], **calling) as http:
                await http.post(host.url, json={**DISCOVER, "method": "tools/call", "params": params})
            async with host.http("of-c4n4ry", **calling) as stranger:
                for number in range(8, 11):
                    await stranger.post(host.url, json=DISCOVER, headers={"X-Request-Id": f"backend-{number}"})
            process.send_signal(signal.SIGTERM)
            lines = "".join([text async for text in TextReceiveStream(process.stderr)]).splitlines()
            assert 0 == await process.wait()
    assert "c4n4ry" not in "".join(lines)
    (line,) = [line for line in lines if "write_files" in line]
    (refused,) = [line for line in lines if "refused" in line]
    if form == "text":
        assert line.endswith("INFO mcp_convex.boundary.audit: write_files: ok (request backend-7)")
        assert refused.endswith(
            "WARNING mcp_convex.boundary.http: token refused: unknown, key not named (request backend-8)"
        )
        return
    told = json.loads(line)
    assert {"at", "level", "logger", "message", "request_id", "tool", "outcome", "duration_s"} == set(told)
    assert ("info", "backend-7", "write_files", "ok") == tuple(
        told[name] for name in ("level", "request_id", "tool", "outcome")
    )
    why = json.loads(refused)
    assert ("warning", "backend-8", "unknown") == tuple(why[name] for name in ("level", "request_id", "reason"))
    assert all(json.loads(each) for each in lines)
