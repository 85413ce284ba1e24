"""Files from outside the project do not leave this machine, as the CLI's real bundles would carry them."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest

from tests.broker.conftest import MODULE, module

pytestmark = pytest.mark.anyio

ROOT = PurePosixPath("/home/ada/app")


def headed(path: str, source: str = 'var o = "secret";') -> str:
    return f"// {path}\n{source}\n\n{MODULE}"


OUTSIDE = [
    pytest.param(module(source=headed("../secret.json")), "../secret.json", id="json"),
    pytest.param(
        module(source=headed("../../../etc/passwd", "var t = Uint8Array.fromBase64('eA==');")), "passwd", id="bytes"
    ),
    pytest.param(module(source=headed("wasm-binary:/opt/x.wasm")), "/opt/x.wasm", id="wasm"),
    pytest.param(module(source=headed("wasm-stub:/opt/node_modules/../x.wasm")), "x.wasm", id="wasm by a detour"),
    pytest.param(module("a.css", "/* ../secret.css */\n.a {}\n", None), "../secret.css", id="css"),
    pytest.param(module("_deps/X.js", headed("../lib/secret.ts")), "../lib/secret.ts", id="a shared chunk"),
    pytest.param(
        module("sub/x.js", "var a=1;", json.dumps({"sources": ["../../../secret.json"]})),
        "../secret.json",
        id="minified",
    ),
]
INSIDE = [
    pytest.param(module(source=headed("convex/data.json")), id="json"),
    pytest.param(module(source=headed("shared/text.txt")), id="beside the functions"),
    pytest.param(module(source=headed("../node_modules/left-pad/index.js")), id="hoisted packages"),
    pytest.param(module(source=headed("../../store/node_modules/.pnpm/x/index.js")), id="linked packages"),
    pytest.param(module(source=headed("wasm-binary:/home/ada/app/convex/x.wasm")), id="wasm"),
    pytest.param(module(source=headed("async-hooks-shim:async_hooks")), id="a shim"),
    pytest.param(
        module(source=MODULE, source_map=json.dumps({"sources": ["../../../packages/lib/src/x.ts"]})),
        id="a package's own source map",
    ),
    pytest.param(module("sub/x.js", "var a=1;", json.dumps({"sources": ["../../convex/sub/x.ts"]})), id="minified"),
]


@pytest.mark.parametrize("purpose", ["push", "preview", "check"])
@pytest.mark.parametrize(("pushed", "named"), OUTSIDE)
async def test_a_file_from_outside_ends_the_push_before_it_leaves(opened, deployment, purpose, pushed, named):
    async with opened(purpose=purpose, root=ROOT) as cli:
        await cli.start_push(pushed)
        verdict = cli.session.verdict()

    assert ("source", "outside_import") == (verdict.failure, verdict.diagnostics[0].code)
    assert named in verdict.diagnostics[0].message
    assert not deployment.seen


@pytest.mark.parametrize("pushed", INSIDE)
async def test_the_projects_own_files_and_its_packages_pass(opened, deployment, pushed):
    async with opened(root=ROOT) as cli:
        answer = await cli.start_push(pushed)

    assert 200 == answer.status_code


@pytest.mark.parametrize(
    ("path", "failure"),
    [
        ("../shared/index.ts", None),
        ("/home/ada/shared/data.json", None),
        ("../shared/.env", "source"),
        ("../shared/../secret.ts", "source"),
        ("../shared-not/index.ts", "source"),
    ],
)
async def test_the_sources_of_a_linked_package_pass_and_its_hidden_files_do_not(opened, path, failure):
    async with opened(root=ROOT, linked=(ROOT.parent / "shared",)) as cli:
        await cli.start_push(module(source=headed(path)))

        assert failure == cli.session.verdict().failure


def app(**members):
    return {"changedModules": [module()], "unchangedModuleHashes": []} | members


ELSEWHERE = [
    pytest.param({"appDefinition": app(schema=module("schema.js", headed("../secret.json")))}, id="schema"),
    pytest.param({"appDefinition": app(auth=module("auth.config.js", headed("../secret.json")))}, id="auth"),
    pytest.param(
        {"appDefinition": app(definition=module("convex.config.js", "a", json.dumps({"sources": ["../../s.json"]})))},
        id="definition",
    ),
    pytest.param(
        {"appDefinition": app(definition=module("convex.config.js", 'var a=Uint8Array.fromBase64("eA==");'))},
        id="bytes in a definition",
    ),
    pytest.param({"functions": "../elsewhere/"}, id="functions folder"),
    pytest.param(
        {
            "componentDefinitions": [
                {
                    "definitionPath": "counter",
                    "definition": module("convex.config.js", "a", None),
                    "functions": [module(source=headed("../secret.json"))],
                }
            ]
        },
        id="component",
    ),
]


@pytest.mark.parametrize("step", ["start_push", "evaluate_schema"])
@pytest.mark.parametrize("members", ELSEWHERE)
async def test_every_part_of_a_push_is_looked_at(opened, deployment, step, members):
    async with opened() as cli:
        body = {"adminKey": cli.key, "functions": "convex/", "appDefinition": app()} | members
        await cli.ask(f"/api/deploy2/{step}", body, br=True)

        assert "source" == cli.session.verdict().failure
        assert not deployment.seen


async def test_the_file_that_imports_is_named(opened):
    async with opened() as cli:
        await cli.start_push(module("sub/leak.js", headed("../secret.json")))

        assert "convex/sub/leak.ts" == cli.session.verdict().diagnostics[0].file
