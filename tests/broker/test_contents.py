"""What a module is: its own code and the chunks that it imports, wherever they were bundled."""

from __future__ import annotations

import pytest

from mcp_convex.broker.contents import contents_of
from mcp_convex.broker.wire import Module

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
