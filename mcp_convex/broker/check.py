"""
A check: the gate plays the deployment, so that the CLI generates code and runs the type checker without one.

What only a deployment knows is answered generously, never strictly, so that a check reports no error that a push
would not: components take any call, declared env vars have any type. The CLI writes these names into the generated
types as they are (CLI 1.40 to 1.48), which lets an index signature stand for all of them, or a type in their place.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

from mcp_convex.broker.answers import Answer, said
from mcp_convex.broker.session import Call, Session
from mcp_convex.broker.steps import CANONICAL_URLS, CONFIG_HASHES, START_PUSH, WAIT_FOR_SCHEMA
from mcp_convex.broker.verdicts import Ended
from mcp_convex.broker.wire import PushRequest
from mcp_convex.domain.diagnostics import EMPTY

_NOWHERE = "http://127.0.0.1:9"
"""Stands for the URLs of a deployment that a check does not have: the port that discards."""

_ANY_FUNCTION: Any = ["[module: string]: any; readonly _", {"type": "branch", "branch": []}]
_ANY_ENV_VAR: Any = ["[name: string]", {"type": "value", "value": '{"type":"any"}'}]
_ANY_MODULE = '__": any; [module: string]: any; readonly "_'
"""For `codegen.staticApi`, which takes the functions from the analysis. A static `api` knows only what is declared."""
_OWN_TABLES = (
    '} & import("convex/server").DataModelFromSchemaDefinition<typeof import("../schema.js").default> & { [_: symbol]'
)
"""For `codegen.staticDataModel`, which takes the tables from the analysis."""

_IMPORT = re.compile(r'import\s*([\w$]+)\s*from\s*"\./_componentDeps/([\w-]*)"')
_DEFAULT = re.compile(r"export\s*\{\s*([\w$]+) as default\s*\}")
_ALIASES = 3
"""How many times a minified definition may rename what it exports."""


class CheckSession(Session):
    """The CLI on one side, nobody on the other."""

    async def _answer(self, call: Call) -> Answer:
        if call.step is CANONICAL_URLS:
            return _json(self._urls())
        if call.step is CONFIG_HASHES:
            return _json({"config": {"functions": "convex/"}, "moduleHashes": [], "udfServerVersion": None})
        if call.step is START_PUSH:
            return await self._start_push(call)
        if call.step is WAIT_FOR_SCHEMA and self._reached == "type check":
            raise Ended(None)
        return said(404, "NotFound", "A check asks no deployment.")

    async def _start_push(self, call: Call) -> Answer:
        await self._advance("starting")
        request = self._confined(call)
        if request.is_empty:
            self._keep(EMPTY)
        await self._advance("type check")
        return _json(analysed(request))

    def _urls(self) -> dict[str, str]:
        target = self._terms.reach.target if self._terms.reach else None
        url = target.url if target else _NOWHERE
        return {"convexCloudUrl": url, "convexSiteUrl": (target.site_url if target else None) or url}


def analysed(request: PushRequest) -> dict[str, Any]:
    """Return as much of a `start_push` answer as the CLI's code generation reads."""
    definition = request.app_definition.definition
    sources = {found.definition_path: found.definition.source for found in request.component_definitions}
    children = list(_children(definition.source if definition else "", sources))
    analysis = {"": _analysis("", {"type": "app"}, definition.source if definition else "", children)}
    for path, source in sources.items():
        kind = {"type": "childComponent", "name": _own_name(source) or "component"}
        analysis[path] = _analysis(path, kind, source, list(_children(source, sources)))
    return {
        "environmentVariables": {},
        "externalDepsId": None,
        "componentDefinitionPackages": dict.fromkeys(analysis),
        "appAuth": [],
        "analysis": analysis,
        "app": _instance("", ""),
        "schemaChange": {"allocatedComponentIds": {}, "schemaIds": {}},
    }


def _analysis(path: str, kind: dict[str, str], source: str, children: list[dict[str, str]]) -> dict[str, Any]:
    definition = {
        "path": path,
        "definitionType": kind,
        "childComponents": children,
        "httpMounts": {},
        "exports": {"type": "branch", "branch": [_ANY_FUNCTION] if path else []},
        "envVars": [_ANY_ENV_VAR] if "env:{" in source else [],
    }
    table: dict[str, Any] = {"tableName": _OWN_TABLES, "indexes": [], "documentType": {"type": "any"}}
    return {
        "definition": definition,
        "schema": {"tables": [table], "schemaValidation": True},
        "functions": {f"{_ANY_MODULE}.js": {"functions": [_function("public"), _function("internal")]}},
        "udfConfig": {"serverVersion": "1", "importPhaseRngSeed": None, "importPhaseUnixTimestamp": None},
    }


def _function(visibility: str) -> dict[str, Any]:
    return {"name": "_", "udfType": "Query", "visibility": {"kind": visibility}, "args": None, "returns": None}


def _instance(definition: str, path: str) -> dict[str, Any]:
    routes: dict[str, Any] = {"httpModuleRoutes": None, "mounts": []}
    place = {"definitionPath": definition, "componentPath": path}
    return {**place, "args": {}, "childComponents": {}, "httpRoutes": routes, "exports": {}}


def _children(source: str, sources: dict[str, str]) -> Iterator[dict[str, str]]:
    """Yield the components that a definition uses: `app.use(counter, {name: "second"})`, minified."""
    for local, encoded in _IMPORT.findall(source):
        path = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        for use in re.finditer(rf"\.use\({re.escape(local)}(?![\w$])([^;]*?)(?=\.use\(|;|$)", source):
            named = re.search(r'\bname:\s*"(\w+)"', use[1])
            name = named[1] if named else _own_name(sources.get(path, ""))
            if name:
                yield {"name": name, "path": path}


def _own_name(source: str) -> str | None:
    """Return the name that a minified component definition gives itself: `var a=b("counter");export{a as default}`."""
    found = _DEFAULT.search(source)
    local = found[1] if found else None
    for _ in range(_ALIASES):
        if local is None:
            return None
        here = rf"(?<![\w$.]){re.escape(local)}\s*=\s*"
        if called := re.search(here + r'[\w$]+\(\s*"(\w+)"', source):
            return called[1]
        renamed = re.search(here + r"([\w$]+)\s*[;,]", source)
        local = renamed[1] if renamed else None
    return None


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value).encode())
