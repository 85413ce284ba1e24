"""What comes of the ways in which a compiler can end."""

from __future__ import annotations

import pytest

from mcp_convex.domain.diagnostics import parse_output
from mcp_convex.domain.ports import Ended, TypeCheck
from mcp_convex.services.type_checks import Types

pytestmark = pytest.mark.anyio

FOUND = "convex/a.ts:1:7 - error TS2322: Type 'string' is not assignable to type 'number'.\n"


class Ends(TypeCheck):
    def __init__(self, ended: Ended | None) -> None:
        self._ended = ended

    async def ended(self) -> Ended | None:
        return self._ended

    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("ended", "fit", "told"),
    [
        (None, True, (None, [])),
        (Ended(0, ""), True, (None, [])),
        (Ended(2, "error TS18003: No inputs were found in config file."), True, (None, [])),
        (Ended(2, FOUND), False, ("source", ["TS2322"])),
        (Ended(1, "Segmentation fault"), False, ("tooling", ["compiler_failed"])),
        (Ended(137, FOUND), False, ("tooling", ["compiler_ended"])),
        (Ended(None, FOUND), False, (None, [])),
    ],
    ids=["there is none", "green", "no module", "red", "broken", "killed", "the push was over before it"],
)
async def test_it_is_told_as_the_cli_tells_it(ended, fit, told):
    types = Types(Ends(ended))

    assert fit == await types.fit()
    failure, diagnostics = parse_output(types.complaint)
    assert told == (failure, [diagnostic.code for diagnostic in diagnostics])
