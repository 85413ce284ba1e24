"""What traces tell of a push, and that nothing of what a call says is in them."""

from __future__ import annotations

import os
import signal

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from tests.doubles.collector import collecting
from tests.doubles.hosting import Hosted, hosted_settings, tokens_file
from tests.system.spawning import command

pytestmark = pytest.mark.anyio


async def test_a_push_is_told_from_the_call_to_what_is_asked_of_convex_and_no_argument_is(tmp_path):
    file, tokens = tokens_file(tmp_path, "alice")
    settings = hosted_settings(tmp_path, tokens_file=str(file), armed_pushes="false")
    flags = ["--listen-port", "0", "--tokens-file", str(file), "--traces"]
    async with collecting() as collector:
        env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        argv = [*command(settings, "serve"), *flags]
        async with await anyio.open_process(argv, stderr=None, env=env) as process:
            with anyio.fail_after(60):
                said = await TextReceiveStream(process.stdout).receive()
                host = Hosted(settings, url=said.removeprefix("Serving at ").strip().rstrip("."), tokens=tokens)
                host.furnish("tokens-file alice")
                async with host.client(tokens["alice"]) as world:
                    await world.hold({"convex/c4n4ry.ts": "export const c4n4ry = 1;\n"})
                    await world.content("set_env_vars", values={"SETTING": "c4n4ry"})
                    await world.content("push")
                    await world.code("run_function", name="notes:c4n4ry", args={"text": "c4n4ry"})
                process.send_signal(signal.SIGTERM)
                assert 0 == await process.wait()
    assert ["tools/call push", "convex dev", "finish_push"] == collector.way_to("finish_push")
    assert ["tools/call push", "convex dev", "bundling"] == collector.way_to("bundling")
    assert {"tools/call write_files", "tools/call set_env_vars"} <= {span.name for span in collector.spans}
    assert b"c4n4ry" not in collector.raw
    assert tokens["alice"].encode() not in collector.raw
    assert b"alice" not in collector.raw
