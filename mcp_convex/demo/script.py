"""The demo's script: a chat backend from nothing, with two mistakes on the way and their repair."""

from __future__ import annotations

import asyncio
import json
from importlib.resources import files
from typing import Any
from urllib.request import urlopen

from mcp_convex.demo.stage import Stage

_BUG = 'channel.messageCount + "1"'
_FIX = "channel.messageCount + 1"
_INSERT = 'ctx.db.insert("messages", args)'
_FIELD = "    body: v.string(),\n"


async def script(stage: Stage) -> None:
    """Play every scene, each on what the last one left."""
    await _write_with_a_mistake(stage)
    await _repair_and_push(stage)
    channel = await _use_it(stage)
    await _ask_over_http(stage)
    await _change_the_schema_against_the_data(stage)
    await _look_again(stage, channel)


async def _write_with_a_mistake(stage: Stage) -> None:
    stage.say("1. An empty workspace gets a chat backend, with a type error in it")
    listed = await stage.call("list_files")
    stage.expect("the workspace is empty", holds=listed["files"] == [])
    sources = {file.name: file.read_text() for file in files("mcp_convex.demo").joinpath("chat").iterdir()}
    changes = [{"path": f"convex/{name}", "content": text} for name, text in sorted(sources.items())]
    written = await stage.call("write_files", {"changes": changes})
    stage.expect(f"{len(changes)} files are written", holds=len(written["changes"]) == len(changes))
    pushed = await stage.call("push")
    stage.expect(
        "the push is rejected: `source`", holds=(pushed["outcome"], pushed["failure"]) == ("rejected", "source")
    )
    found = pushed["diagnostics"][0]
    said, *_ = found["message"].splitlines()
    stage.show(f"{found['file']}:{found['line']}:{found['column']} {found['code']} {said}")
    stage.show(f"{(found['snippet'] or '').strip()}")
    stage.show(f"hint: {found['hint']}")
    stage.expect(
        "the diagnostic names file and line", holds=(found["file"], found["line"]) == ("convex/messages.ts", 12)
    )
    live = await stage.call("list_functions")
    stage.expect("nothing is live", holds=live["functions"] == [])


async def _repair_and_push(stage: Stage) -> None:
    stage.say("2. The repair, and the push")
    await stage.call("write_files", {"changes": [{"path": "convex/messages.ts", "old": _BUG, "new": _FIX}]})
    pushed = await stage.call("push")
    stage.expect(f"the push went live in {pushed['duration_s']:.2f} s", holds=pushed["outcome"] == "pushed")
    stage.show(f"the CLI ran with a placeholder for a key; isolation: {pushed['isolation']}")
    stage.show(f"functions: + {', '.join(pushed['changes']['functions']['added'])}")
    stage.show(f"indexes:   + {', '.join(pushed['changes']['indexes']['added'])}")
    live = await stage.call("list_functions")
    kinds = {function["kind"] for function in live["functions"]}
    stage.expect(
        "queries, mutations, actions and the HTTP route are live",
        holds=kinds == {"query", "mutation", "action", "http_action"},
    )


async def _use_it(stage: Stage) -> str:
    stage.say("3. The functions run, and the rows are read back")
    ada = await _run(stage, "people:join", name="Ada", handle="ada")
    bob = await _run(stage, "people:join", name="Bob", handle="bob")
    channel: str = await _run(stage, "channels:open", title="general")
    for author, body in ((ada, "Is it live?"), (bob, "It is."), (ada, "Then we are done.")):
        await _run(stage, "messages:send", channel=channel, author=author, body=body)
    listed = await _run(stage, "messages:list", channel=channel)
    stage.expect("the query returns what was sent, newest first", holds=listed[0]["body"] == "Then we are done.")
    digest = await _run(stage, "digests:write", channel=channel)
    stage.expect("the action read through a query and wrote through a mutation", holds="Bob: It is." in digest)
    page = await stage.call("read_table", {"table": "messages", "newest_first": False})
    stage.table("messages", page["documents"])
    stage.expect("three rows are stored", holds=len(page["documents"]) == 3)  # noqa: PLR2004 - as many as were sent
    return channel


async def _ask_over_http(stage: Stage) -> None:
    stage.say("4. The HTTP route answers on the site URL")
    pushed = await stage.call("push", {"preview": True})
    stage.expect("a preview says that a push would change nothing", holds=pushed["outcome"] == "previewed")
    answer = await asyncio.to_thread(_get, f"{pushed['target']['site_url']}/channels")
    stage.show(json.dumps(answer))
    stage.expect("the route counts three messages", holds=answer == [{"title": "general", "messageCount": 3}])


async def _change_the_schema_against_the_data(stage: Stage) -> None:
    stage.say("5. A schema that does not fit the stored rows is refused, and repaired")
    required = [
        {"path": "convex/schema.ts", "old": _FIELD, "new": f"{_FIELD}    pinned: v.boolean(),\n"},
        {"path": "convex/messages.ts", "old": _INSERT, "new": _INSERT.replace("args", "{ ...args, pinned: false }")},
    ]
    await stage.call("write_files", {"changes": required})
    pushed = await stage.call("push")
    stage.expect("the push is rejected: `data_mismatch`", holds=pushed["failure"] == "data_mismatch")
    for found in pushed["diagnostics"]:
        stage.show(f"{found['message']}")
        stage.show(f"hint: {found['hint']}")
    optional = {"path": "convex/schema.ts", "old": "pinned: v.boolean()", "new": "pinned: v.optional(v.boolean())"}
    await stage.call("write_files", {"changes": [optional]})
    pushed = await stage.call("push")
    stage.expect("with the field optional the push goes live", holds=pushed["outcome"] == "pushed")


async def _look_again(stage: Stage, channel: str) -> None:
    stage.say("6. The data is still there, and the logs tell what ran")
    listed = await _run(stage, "messages:list", channel=channel)
    stage.expect("the three messages have outlived three pushes", holds=len(listed) == 3)  # noqa: PLR2004 - as above
    logs = await stage.call("read_logs", {"function": "messages:send"})
    lines = [line for entry in logs["entries"] for line in entry["lines"]]
    for line in lines:
        stage.show(line)
    stage.expect("each call is in the logs", holds=any("message 3 in general" in line for line in lines))


async def _run(stage: Stage, function: str, /, **args: Any) -> Any:
    return (await stage.call("run_function", {"name": function, "args": args}))["value"]


def _get(url: str) -> Any:
    with urlopen(url, timeout=10) as response:  # noqa: S310 - the loopback URL that the push just gave
        return json.load(response)
