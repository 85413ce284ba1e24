"""What a module is: its own code and the chunks that it imports, wherever they were bundled."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import httpx2
import pytest

from mcp_convex.broker import LocalGate, Tuning
from mcp_convex.broker.contents import Content, ContentsMemory, contents_of
from mcp_convex.broker.wire import Module
from mcp_convex.domain.ports import PushTerms
from tests.broker.conftest import MODULE, SOURCE_MAP, Cli, module

pytestmark = pytest.mark.anyio

CHUNK = "// convex/shared.ts\nvar a = 1;\nexport { a };\n//# sourceMappingURL=A.js.map\n"
BUNDLED = """\
import { a } from "./_deps/%s.js";
// %snode_modules/ms/index.js
var require_ms = e({ "%snode_modules/ms/index.js"(exports) { exports.a = 1; } });
export { a };
"""


def bundled(chunk: str, above: str) -> str:
    return BUNDLED % (chunk, above, above)


def contents(**sources: str) -> dict[str, str]:
    return contents_of(
        [Module(path=f"{name.replace('_deps_', '_deps/')}.js", source=s) for name, s in sources.items()], {}
    )


def test_where_packages_lie_and_what_chunks_are_called_makes_no_difference():
    here = contents(_deps_A=CHUNK, notes=bundled("A", ""))
    there = contents(_deps_B=CHUNK.replace("A.js", "B.js"), notes=bundled("B", "../../../home/ada/app/"))

    assert here["notes.js"] == there["notes.js"]


@pytest.mark.parametrize(
    "changed",
    [
        {"_deps_A": CHUNK.replace("1", "2"), "notes": bundled("A", "")},
        {"_deps_A": CHUNK, "notes": bundled("A", "").replace("exports.a", "exports.b")},
        {"_deps_A": CHUNK, "notes": bundled("C", "")},
    ],
    ids=["its chunk", "its own code", "which chunk"],
)
def test_other_code_is_another_content(changed):
    assert contents(_deps_A=CHUNK, notes=bundled("A", ""))["notes.js"] != contents(**changed)["notes.js"]


def test_chunks_that_are_not_pushed_again_count_as_what_they_are():
    notes = Module(path="notes.js", source=bundled("A", ""))

    first, same, other = (contents_of([notes], {"_deps/A.js": known}) for known in ("x", "x", "y"))

    assert first == same != other


def test_chunks_that_import_each_other_have_contents_too():
    both = contents(_deps_A='import "./B.js";', _deps_B='import "./A.js";', notes=bundled("A", ""))

    assert 3 == len(set(both.values()))


@pytest.mark.parametrize("remembered", ["its code", "its sources"])
def test_what_an_earlier_version_remembered_still_shows_what_has_not_changed(remembered, tmp_path):
    """It remembered one digest of each module, of its code or of its sources."""
    memory = ContentsMemory(tmp_path, "https://here.convex.cloud")
    memory.keep({"hash": Content(code="its code", origin="its sources")})
    (file,) = tmp_path.iterdir()
    file.write_text(json.dumps({"hash": remembered}))
    was = memory.recall()["hash"]

    assert was.is_same(Content(code="its code", origin="its sources"))
    assert (remembered == "its code") == was.is_same(Content(code="its code"))
    assert not was.is_same(Content(code="other code", origin="other sources"))


async def test_what_another_server_has_made_live_meanwhile_is_never_taken_for_what_this_one_remembers(
    tmp_path, deployment
):
    """Each server keeps a memory of its own. What it does not know is told as changed, and nothing as unchanged."""
    code, other = module(), module(source=MODULE.replace("e({})", "e({ args: 1 })"))
    anew = module(source_map=SOURCE_MAP.replace("[]", '["list"]'))  # the same code, bundled once more
    gates = {name: LocalGate(Tuning(), memory=tmp_path / name) for name in ("here", "there")}

    async def changed(server: str, pushed: dict[str, Any]) -> tuple[str, ...]:
        terms = PushTerms(purpose="push", reach=deployment.reach, deadline_s=60.0)
        async with (
            (await gates[server].hold()).open(terms, _on_stage) as session,
            httpx2.AsyncClient(trust_env=False) as http,
        ):
            cli = Cli(session, http, [])
            for step in (cli.canonical_urls, cli.config_hashes, partial(cli.start_push, pushed)):
                await step()
            await cli.wait_for_schema()
            assert 200 == (await cli.finish_push()).status_code
            return session.verdict().changes.functions.changed

    assert () == await changed("here", code)  # the first, which only adds
    assert () == await changed("here", anew)
    assert ("messages:list",) == await changed("there", other)
    assert ("messages:list",) == await changed("here", code)
    assert ("messages:list",) == await changed("there", anew)  # it is what it was, which only the other server knows
    for gate in gates.values():
        await gate.aclose()


async def _on_stage(_: str) -> None:
    pass
