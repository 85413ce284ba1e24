"""A server and a client of it, over a workspace whose packages are installed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import CallToolResult

from mcp_convex.boundary import ConvexServer
from mcp_convex.server import build_server
from mcp_convex.settings import Settings, load
from tests.doubles.office import free_port
from tests.doubles.projects import make_project

SCHEMA = """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  notes: defineTable({ text: v.string(), rank: v.number() }).index("by_rank", ["rank"]),
});
"""
NOTES = """\
import { v } from "convex/values";
import { mutation, query } from "./_generated/server";

export const add = mutation({
  args: { text: v.string(), rank: v.number() },
  handler: async (ctx, args) => {
    console.log("adding", args.text);
    return await ctx.db.insert("notes", args);
  },
});

export const top = query({
  args: {},
  handler: async (ctx) => await ctx.db.query("notes").withIndex("by_rank").order("desc").take(3),
});
"""
APP = {"convex/schema.ts": SCHEMA, "convex/notes.ts": NOTES}


def make_settings(folder: Path, **flags: str | bool) -> Settings:
    """Return settings for a workspace and a data directory below *folder*."""
    workspace = make_project(folder / "app", {"convex/tsconfig.json": TSCONFIG})
    places = {"workspace": str(workspace), "data_dir": str(folder / "data"), "pages_port": str(free_port())}
    return load({**places, **flags}, {})


TSCONFIG = Path(__file__).parent.parent.joinpath("sandbox_template/convex/tsconfig.json").read_text()


@dataclass(frozen=True)
class World:
    client: Client
    settings: Settings
    era: str

    @staticmethod
    def server(settings: Settings) -> ConvexServer:
        return build_server(settings)

    @property
    def workspace(self) -> Path:
        return self.settings.workspace

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        return await self.client.call_tool(tool, arguments)

    async def content(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return what *tool* answers, which must not be an error."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, result.content
        assert result.structured_content is not None
        return result.structured_content

    async def code(self, tool: str, **arguments: Any) -> str:
        """Return the code of the error that *tool* answers with."""
        result = await self.call(tool, **arguments)
        assert result.is_error, result.structured_content
        return result.structured_content["error"]["code"]

    async def write(self, files: Mapping[str, str]) -> None:
        await self.content("write_files", changes=[{"path": path, "content": text} for path, text in files.items()])

    async def hold(self, files: Mapping[str, str]) -> None:
        """Make `convex/` hold exactly the example app and *files*, whatever an earlier test has left."""
        wanted = {**APP, **files}
        there = [entry["path"] for entry in (await self.content("list_files"))["files"]]
        left = [path for path in there if path.startswith("convex/") and path not in {*wanted, "convex/tsconfig.json"}]
        changes = [{"path": path, "content": text} for path, text in wanted.items()]
        await self.content("write_files", changes=changes + [{"path": path, "delete": True} for path in left])
