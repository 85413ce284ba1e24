"""The system's own queries, which the CLI and dashboards call by name: env vars, tables, documents, functions."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from mcp_convex.embedded.deployment import Deployment
from mcp_convex.embedded.wire import fields, items

Args = dict[str, Any]
Query = Callable[[Args, str], Awaitable[Any]]

_PAGE = 100
_MAX_PAGE = 10_000


class SystemQueries:
    """Queries by name. Other parts add their own with `add`."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._queries: dict[str, Query] = {
            "cli/convexUrl:cloudUrl": self._cloud_url,
            "cli/convexUrl:siteUrl": self._site_url,
            "cli/modules:apiSpec": self._functions,
            "cli/queryEnvironmentVariables": self._env_vars,
            "cli/queryEnvironmentVariables:get": self._env_var,
            "cli/queryTable": self._latest_commit,
            "cli/tableData": self._documents,
            "cli/tables": self._tables,
            "cli/tableSize": self._count,
            "frontend/components:list": self._components,
            "frontend/getSchemas": self._schemas,
        }

    def add(self, name: str, query: Query) -> None:
        """Answer *name*, such as `cli/exports:getLatest`, by *query*."""
        self._queries[name] = query

    async def run(self, path: str, args: Args, component: str) -> dict[str, Any]:
        """Return the outcome of the query at *path*, `_system/…`, as a function's outcome."""
        query = self._queries.get(path.removeprefix("_system/").removesuffix(":default").replace(".js:", ":"))
        if query is None:
            return {"error": f"Could not find system function '{path}'", "logLines": []}
        return {"value": await query(args, component), "logLines": []}

    async def _system(self, name: str, **args: Any) -> Any:
        return await self._deployment.call("system", name=name, args=args)

    async def _cloud_url(self, _: Args, __: str) -> str:
        return self._deployment.urls.cloud

    async def _site_url(self, _: Args, __: str) -> str:
        return self._deployment.urls.site

    async def _env_vars(self, _: Args, __: str) -> list[dict[str, Any]]:
        return [_env_var(name, value) for name, value in sorted(self._deployment.env.values.items())]

    async def _env_var(self, args: Args, _: str) -> dict[str, Any] | None:
        name = args.get("name")
        value = self._deployment.env.values.get(str(name))
        return None if value is None else _env_var(str(name), value)

    async def _latest_commit(self, args: Args, component: str) -> float:
        return float(self._deployment.commits.tables.get((component, str(args.get("tableName"))), 0))

    async def _tables(self, _: Args, component: str) -> dict[str, Any]:
        tables = (await self._system("tables", component=component))["tables"]
        return {"page": [{"name": table["name"]} for table in tables], "isDone": True, "continueCursor": ""}

    async def _count(self, args: Args, component: str) -> int:
        tables = (await self._system("tables", component=component))["tables"]
        return sum(table["count"] for table in tables if table["name"] == args.get("tableName"))

    async def _documents(self, args: Args, component: str) -> Any:
        wanted = fields(args.get("paginationOpts"))
        return await self._system(
            "documents",
            table=args.get("table"),
            order=args.get("order") or "desc",
            cursor=wanted.get("cursor"),
            limit=_page_size(wanted.get("numItems")),
            component=component,
        )

    async def _schemas(self, _: Args, component: str) -> dict[str, Any]:
        live = self._deployment.live
        schema = live.schemas.get(component) if live else None
        return {"active": json.dumps(_as_stored(schema))} if schema else {}

    async def _components(self, _: Args, __: str) -> list[dict[str, Any]]:
        live = self._deployment.live
        return [
            {"id": path, "name": path.rpartition("/")[2], "path": path, "args": {}, "state": "active"}
            for path in (live.components if live else {"": ""})
        ]

    async def _functions(self, _: Args, component: str) -> list[dict[str, Any]]:
        live = self._deployment.live
        if live is None or component not in live.components:
            return []
        modules: dict[str, dict[str, Any]] = live.analysis[live.components[component]]["functions"]
        routes: list[dict[str, Any]] = [
            route for module in modules.values() for route in items(module.get("httpRoutes"))
        ]
        return [
            *(
                _function(path, function)
                for path, module in sorted(modules.items())
                for function in module["functions"]
                if path != "http.js"
            ),
            *(_http_action(route) for route in routes),
        ]


def _as_stored(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* with the field that ends each index, as Convex writes it out."""

    def ended(index: dict[str, Any]) -> dict[str, Any]:
        return {**index, "fields": [*index["fields"], "_creationTime"]}

    def table(declared: dict[str, Any]) -> dict[str, Any]:
        kinds = ("indexes", "stagedDbIndexes")
        return {**declared, **{kind: [ended(index) for index in items(declared.get(kind))] for kind in kinds}}

    return {**schema, "tables": [table(declared) for declared in schema["tables"]]}


def _page_size(wanted: Any) -> int:
    return min(int(wanted), _MAX_PAGE) if isinstance(wanted, int | float) and wanted >= 1 else _PAGE


def _env_var(name: str, value: str) -> dict[str, Any]:
    return {"_id": f"env_{name}", "_creationTime": 0, "name": name, "value": value}


def _function(path: str, function: dict[str, Any]) -> dict[str, Any]:
    return {
        "identifier": f"{path}:{function['name']}",
        "functionType": function["udfType"],
        "visibility": function["visibility"] or {"kind": "public"},
        "args": _validator(function["args"]),
        "returns": _validator(function["returns"]),
    }


def _validator(analysed: str | None) -> Any:
    return json.loads(analysed or "null") or {"type": "any"}


def _http_action(route: dict[str, Any]) -> dict[str, Any]:
    described = route.get("route", route)
    return {"functionType": "HttpAction", "method": described["method"], "path": described["path"]}
