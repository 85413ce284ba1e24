"""What a push says of changes is true of the functions, whatever else made their bundles differ."""

from __future__ import annotations

import pytest
from mcp import Client

from mcp_convex.server import build_server
from mcp_convex.settings import Settings
from tests.world import APP, NOTES, World, make_settings

pytestmark = pytest.mark.anyio

SHARED = "export const shout = (text: string) => text.toUpperCase();\n"
USING = 'import { shout } from "./shared";\nexport const name = shout("one");\n'
FILES = {**APP, "convex/shared.ts": SHARED, "convex/one.ts": NOTES + USING, "convex/two.ts": NOTES + USING}


async def functions_of_a_push(settings: Settings, files: dict[str, str]) -> dict[str, list[str]]:
    """Write *files* and push them, with a server of their own, and return which functions that changed."""
    async with Client(build_server(settings)) as client:
        world = World(client=client, settings=settings, era="auto")
        if files:
            await world.write(files)
        return (await world.content("push"))["changes"]["functions"]


async def test_only_functions_whose_code_has_changed_are_said_to_have(tmp_path):
    settings = make_settings(tmp_path, isolation="bwrap")
    first = await functions_of_a_push(settings, FILES)
    assert ([], 6) == (first["changed"], len(first["added"]))

    assert not any(
        (await functions_of_a_push(settings, {})).values()
    )  # whose _generated/ is not what the first push had
    unconfined = settings.model_copy(update={"isolation": "none"})
    assert not any((await functions_of_a_push(unconfined, {})).values())  # whose packages lie elsewhere

    changed = await functions_of_a_push(settings, {"convex/shared.ts": SHARED.replace("Upper", "Lower")})
    assert {"one:add", "one:top", "two:add", "two:top"} == set(changed["changed"])
