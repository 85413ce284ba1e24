"""What a workspace's configuration asks for, read from its source."""

from __future__ import annotations

import pytest

from mcp_convex.sandboxes import LocalSandbox
from mcp_convex.services.env_needs import needed_env_vars
from tests.doubles.plain_launcher import PlainLauncher
from tests.doubles.projects import TEMPLATE

pytestmark = pytest.mark.anyio

CONFIG = """\
import { defineApp } from "convex/server";
import { v } from "convex/values";
import rateLimiter from "@convex-dev/rate-limiter/convex.config";

// env: { COMMENTED_OUT: v.string() }
const app = defineApp({
  httpPrefix: "/a,}(b",
  env: {
    OPENAI_API_KEY: v.string(), /* KEY: v.string(), */
    "MODE": v.union(v.literal("a,b}"), v.literal("c")),
    DEBUG: v . optional(v.string()),
  },
});
app.use(rateLimiter, { env: { CHILD: app.env.OPENAI_API_KEY } });
export default app;
"""
AUTH = """\
// process.env.COMMENTED_OUT
export default { providers: [
  { domain: process.env.CONVEX_SITE_URL, applicationID: "convex" },
  { domain: process.env["CLERK_DOMAIN"]!, applicationID: process.env.MODE },
] };
"""


async def needs(tmp_path, **sources):
    for path, text in sources.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    sandbox = LocalSandbox(tmp_path, tmp_path.with_name("state"), PlainLauncher(), TEMPLATE)
    return {each.name: (each.needed_by, each.optional) for each in await needed_env_vars(sandbox)}


async def test_declared_names_and_read_names_are_found_with_their_file(tmp_path):
    found = await needs(tmp_path, **{"convex/convex.config.ts": CONFIG, "convex/auth.config.ts": AUTH})

    config, auth = "convex/convex.config.ts", "convex/auth.config.ts"
    assert {
        "OPENAI_API_KEY": (config, False),
        "MODE": (config, False),
        "DEBUG": (config, True),
        "CONVEX_SITE_URL": (auth, False),
        "CLERK_DOMAIN": (auth, False),
    } == found


async def test_the_functions_folder_may_be_another_and_the_files_may_be_javascript(tmp_path):
    sources = {"convex.json": '{"functions": "src/convex/"}', "src/convex/auth.config.js": AUTH}

    assert {"src/convex/auth.config.js"} == {file for file, _ in (await needs(tmp_path, **sources)).values()}


@pytest.mark.parametrize(
    "config", ["", "export default defineApp();", "defineApp({ env: makeEnv() })", "defineApp({ env: {", "{{{{"]
)
async def test_what_declares_nothing_that_can_be_read_needs_nothing(tmp_path, config):
    assert {} == await needs(tmp_path, **{"convex/convex.config.ts": config, "convex.json": "not json"})
