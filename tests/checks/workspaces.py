"""Workspaces of a few files, as rules' examples and tests write them, and what the checks say of them."""

from __future__ import annotations

from hashlib import sha256

from mcp_convex.checks import OfflineChecks
from mcp_convex.domain.models import FileEntry

SERVER = "action, httpAction, internalAction, internalMutation, internalQuery, mutation, query"
IMPORTS = f"""\
import {{ v }} from "convex/values";
import {{ api, internal }} from "./_generated/api";
import type {{ Id }} from "./_generated/dataModel";
import {{ {SERVER}, type MutationCtx, type QueryCtx }} from "./_generated/server";
"""
"""What an example that is no whole file begins with."""

AROUND = {
    "package.json": '{"dependencies": {"convex": "1.48.0"}}',
    "convex/tsconfig.json": '{"compilerOptions": {"strict": true}}',
    "convex/schema.ts": """\
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  users: defineTable({ name: v.string(), email: v.string() }).index("by_email", ["email"]),
  messages: defineTable({ channel: v.string(), author: v.string(), body: v.string() }).index("by_channel", [
    "channel",
    "author",
  ]),
});
""",
}
"""What every example stands in, unless it brings its own."""


def workspace(example):
    """Return the files, text by path, of a rule's *example*."""
    if isinstance(example, dict):
        return AROUND | example
    whole = example if "import " in example else IMPORTS + example
    return AROUND | {"convex/example.ts": whole}


def entries(contents):
    """Return the files, bytes by path, as a workspace lists them."""
    return [
        FileEntry(path=path, size=len(data), sha256=sha256(data).hexdigest()) for path, data in sorted(contents.items())
    ]


async def diagnostics(files, *, env_vars=None, checks=None, asked=None):
    """Return what *checks* say of *files*, text by path; *asked* gets the paths that were read."""
    contents = {path: text.encode() for path, text in files.items()}

    async def read(path):
        if asked is not None:
            asked.append(path)
        return contents[path]

    return await (checks or OfflineChecks()).check(entries(contents), read, env_vars=env_vars)
