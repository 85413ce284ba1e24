"""What an app's functions can reach, in the isolation that this machine has."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from mcp_convex.sandboxes import ConfinedLauncher
from tests.doubles.embedded import Running, running

pytestmark = pytest.mark.anyio

PRYING = {
    "convex/pry.ts": """
"use node";
import { readFileSync, writeFileSync } from "node:fs";
import { v } from "convex/values";
import { action } from "./_generated/server";
declare const process: { cwd(): string; env: Record<string, string> };
export const where = action({ args: {}, handler: async () => process.cwd() });
const tried = (attempt: () => unknown) => {
  try { return attempt() ?? null; } catch (error: any) { return error.code; }
};
const args = { path: v.string() };
export const read = action({ args, handler: async (_, { path }) => tried(() => readFileSync(path, "utf8")) });
export const write = action({ args, handler: async (_, { path }) => tried(() => writeFileSync(path, "x")) });
export const env = action({ args: {}, handler: async () => Object.keys(process.env).sort() });
"""
}


@pytest.fixture(scope="module")
async def prying(tmp_path_factory, anyio_backend) -> AsyncIterator[Running]:
    async with running(tmp_path_factory.mktemp("confinement"), PRYING, ConfinedLauncher()) as deployment:
        pushed = await deployment.push()
        assert 0 == pushed.code, pushed.said
        yield deployment


async def test_functions_see_no_env_var_that_was_not_set_for_them(prying: Running) -> None:
    assert ["CONVEX_CLOUD_URL", "CONVEX_SITE_URL"] == await prying.value("action", "pry:env")


async def test_functions_reach_neither_the_key_nor_the_env_vars_nor_other_folders(prying: Running) -> None:
    folder = await prying.value("action", "pry:where")
    for path in (f"{folder}/../admin-key", f"{folder}/../env.json", str(prying.project / "package.json")):
        assert await prying.value("action", "pry:read", {"path": path}) in {"ENOENT", "EACCES"}
    for path in (f"{folder}/../admin-key", f"{folder}/code/x", str(prying.project / "x")):
        await prying.value("action", "pry:write", {"path": path})

    assert prying.key == (prying.folder / "admin-key").read_text()
    assert not (prying.folder / "engine" / "code" / "x").exists()
    assert not (prying.project / "x").exists()
