"""The example app that `mcp-convex init` writes."""

from __future__ import annotations

import json

import pytest

from mcp_convex.domain.models import FilePath
from tests.doubles.projects import TEMPLATE
from tests.sandboxes.conftest import no_progress, run

pytestmark = pytest.mark.anyio

MODULES = ("auth.config", "channels", "crons", "http", "messages", "schema", "users")


def typed_api() -> bytes:
    """Return the `api.d.ts` that a deployment's answer makes the CLI write, which bundling alone does not."""
    modules = [name for name in MODULES if name not in {"auth.config", "schema"}]
    imports = "".join(f'import type * as {name} from "../{name}.js";\n' for name in modules)
    return f"""{imports}
import type {{ ApiFromModules, FilterApi, FunctionReference }} from "convex/server";
declare const all: ApiFromModules<{{ {"; ".join(f"{name}: typeof {name}" for name in modules)} }}>;
export declare const api: FilterApi<typeof all, FunctionReference<any, "public">>;
export declare const internal: FilterApi<typeof all, FunctionReference<any, "internal">>;
""".encode()


async def test_the_example_app_type_checks_strictly(project, open_sandbox) -> None:
    root = project({f"convex/{name}.ts": (TEMPLATE / f"convex/{name}.ts").read_text() for name in MODULES})
    sandbox = open_sandbox(root, "bwrap")
    await sandbox.ensure(no_progress)
    at = ["--url", "http://127.0.0.1:1", "--admin-key", "none", "--typecheck", "disable"]
    command = (*sandbox.convex_cli(), "deploy", "-y", "--write-push-request", "request", "--push-all-modules", *at)
    ended = await run(sandbox, *command, keep=("convex/_generated", "request.json"))
    assert 0 == ended.exit_code, ended.output
    request = json.loads(await sandbox.read(FilePath("request.json")))
    pushed = {module["path"] for module in request["appDefinition"]["changedModules"]}
    assert {f"{name}.js" for name in MODULES if name != "schema"} == {path for path in pushed if "/" not in path}
    await sandbox.write({FilePath("convex/_generated/api.d.ts"): typed_api()})
    ended = await run(sandbox, "node", "node_modules/typescript/bin/tsc", "--noEmit", "-p", "convex")
    assert (0, "") == (ended.exit_code, ended.output)
