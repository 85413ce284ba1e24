"""An embedded deployment in the test's own process, a project beside it, and the real CLI between the two."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2

from mcp_convex.domain.models import WorkspaceId
from mcp_convex.domain.ports import Launcher, Reach
from mcp_convex.embedded import LocalEmbeddedDeployments
from tests.doubles.plain_launcher import PlainLauncher
from tests.doubles.projects import make_project

WORKSPACE = WorkspaceId("main")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    said: str
    """Standard error, where the CLI talks to people."""


@dataclass(frozen=True)
class Running:
    """A deployment that runs, and a project that can be pushed to it."""

    project: Path
    reach: Reach
    launcher: Launcher
    http: httpx2.AsyncClient
    """Speaks with the cloud URL as an admin."""
    data_dir: Path = field(repr=False)

    @property
    def key(self) -> str:
        return self.reach.credential.get_secret_value()

    @property
    def folder(self) -> Path:
        return self.data_dir / "embedded" / self.reach.target.name

    def write(self, sources: Mapping[str, str | None]) -> None:
        for path, text in sources.items():
            (self.project / path).unlink(missing_ok=True)
            if text is not None:
                (self.project / path).write_text(text)

    async def convex(self, *args: str) -> Ended:
        """Run the real CLI against the deployment, to its end."""
        return await self.node("node_modules/convex/dist/cli.bundle.cjs", *args, *self.target)

    @property
    def target(self) -> list[str]:
        return ["--url", self.reach.target.url, "--admin-key", self.key]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.project), "CI": "1", "NO_COLOR": "1"}

    async def node(self, *args: str) -> Ended:
        with anyio.fail_after(60):
            done = await anyio.run_process(
                ["node", *args], cwd=self.project, env=self.environment, check=False, stdin=subprocess.DEVNULL
            )
        return Ended(done.returncode, done.stdout.decode(), _ANSI.sub("", done.stderr.decode()))

    async def push(self, typecheck: str = "disable") -> Ended:
        return await self.convex("dev", "--once", "--typecheck", typecheck, "--tail-logs", "disable")

    async def call(self, kind: str, path: str, args: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self.http.post(f"/api/{kind}", json={"path": path, "args": args or {}})
        found: dict[str, Any] = answer.json()
        return found

    async def value(self, kind: str, path: str, args: dict[str, Any] | None = None) -> Any:
        outcome = await self.call(kind, path, args)
        assert "success" == outcome["status"], outcome
        return outcome["value"]


@contextlib.asynccontextmanager
async def running(folder: Path, sources: Mapping[str, str], launcher: Launcher | None = None) -> AsyncIterator[Running]:
    """Serve a deployment in *folder*, with a project of *sources* that is not pushed yet."""
    launcher = launcher or PlainLauncher()
    project = folder / "project"
    if not project.exists():
        make_project(project, {**SKELETON, **sources})
    packages = project / "node_modules"
    async with LocalEmbeddedDeployments(folder / "data", launcher, node_modules=lambda _: packages) as deployments:
        reach = await deployments.ensure(WORKSPACE)
        headers = {"Authorization": f"Convex {reach.credential.get_secret_value()}"}
        async with httpx2.AsyncClient(base_url=reach.target.url, headers=headers, timeout=30) as http:
            yield Running(project, reach, launcher, http, folder / "data")


SKELETON = {
    "convex.json": '{"aiFiles": {"enabled": false}, "node": {"externalPackages": ["ws"]}}',
    "convex/tsconfig.json": """{
      "compilerOptions": {
        "strict": true, "moduleResolution": "Bundler", "skipLibCheck": true, "allowJs": true, "target": "ESNext",
        "lib": ["ES2023", "dom"], "module": "ESNext", "isolatedModules": true, "noEmit": true, "types": []
      },
      "include": ["./**/*"], "exclude": ["./_generated"]
    }""",
}

CHAT = {
    "convex/schema.ts": """
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";
export default defineSchema({
  messages: defineTable({ author: v.string(), body: v.string() }).index("by_author", ["author"]),
});
""",
    "convex/messages.ts": """
import { action, internalQuery, mutation, query } from "./_generated/server";
import { api } from "./_generated/api";
import { ConvexError, v } from "convex/values";
declare const process: { env: Record<string, string | undefined> };
export const list = query({ args: {}, handler: (ctx) => ctx.db.query("messages").collect() });
export const send = mutation({
  args: { author: v.string(), body: v.string() },
  handler: (ctx, args) => {
    console.log("sending", args.body);
    return ctx.db.insert("messages", args);
  },
});
export const announce = action({
  args: { body: v.string() },
  handler: async (ctx, { body }): Promise<string> => await ctx.runMutation(api.messages.send, { author: "bot", body }),
});
export const hidden = internalQuery({ args: {}, handler: () => "for admins" });
export const refuse = mutation({ args: {}, handler: () => { throw new ConvexError({ why: "no" }); } });
export const boom = query({ args: {}, handler: () => { throw new Error("boom"); } });
export const env = query({ args: {}, handler: () => process.env.GREETING ?? null });
const greeting = process.env.GREETING ?? null;
export const early = query({ args: {}, handler: () => greeting });
export const me = query({ args: {}, handler: (ctx) => ctx.auth.getUserIdentity() });
export const odd = query({ args: {}, handler: () => ({ big: 7n, bytes: new ArrayBuffer(2), nothing: NaN }) });
""",
    "convex/files.ts": """
import { mutation, query } from "./_generated/server";
import { v } from "convex/values";
export const uploadUrl = mutation({ args: {}, handler: (ctx) => ctx.storage.generateUploadUrl() });
export const url = query({ args: { id: v.id("_storage") }, handler: (ctx, { id }) => ctx.storage.getUrl(id) });
""",
    "convex/http.ts": """
import { httpRouter } from "convex/server";
import { httpAction } from "./_generated/server";
const http = httpRouter();
http.route({
  path: "/echo",
  method: "POST",
  handler: httpAction(async (_, request) => {
    const text = (await request.text()) + new URL(request.url).searchParams.get("q");
    return new Response(text, { status: 201, headers: { "x-echo": request.headers.get("x-ask") ?? "" } });
  }),
});
export default http;
""",
}
"""A small app that uses most of what a deployment offers."""
