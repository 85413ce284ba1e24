"""What a push changes, in the form in which `start_push`, `finish_push` and `evaluate_schema` say it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp_convex.embedded.push import Push
from mcp_convex.embedded.wire import fields, items

Index = dict[str, Any]


def index_diffs(live: Push | None, pushed: Push) -> dict[str, Any]:
    """Return the indexes that come and go, by component."""
    components = {**_components(live), **pushed.components}
    return {component: _index_diff(live, pushed, component) for component in components}


def finish_diff(live: Push | None, pushed: Push) -> dict[str, Any]:
    """Return everything that changes when *pushed* replaces *live*."""
    before = _components(live)
    return {
        "authDiff": _names_diff(_providers(live), _providers(pushed)),
        "definitionDiffs": {},
        "componentDiffs": {
            component: _component_diff(live, pushed, component) for component in {**before, **pushed.components}
        },
    }


def schema_evaluation(live: Push | None, pushed: Push, counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return what validating *pushed*'s schemas would take, given how many documents each table holds."""
    return {
        "componentSchemaEvaluations": {
            component: {
                "definitionPath": pushed.components.get(component, ""),
                "schemaValidation": bool(fields(schema).get("schemaValidation")),
                "tables": _predicted_tables(schema, counts.get(component, {})),
                "indexes": _predicted_indexes(_index_diff(live, pushed, component), counts.get(component, {})),
            }
            for component, schema in pushed.schemas.items()
        },
        "newComponentDefinitions": [
            path for path in pushed.components.values() if path not in {"", *_components(live).values()}
        ],
    }


def _components(push: Push | None) -> dict[str, str]:
    return push.components if push else {}


def _component_diff(live: Push | None, pushed: Push, component: str) -> dict[str, Any]:
    before, after = _analysed(live, component), _analysed(pushed, component)
    kind = "modify" if component == "" or (before and after) else "create" if after else "unmount"
    return {
        "diffType": {"type": kind},
        "moduleDiff": _names_diff(before.get("functions", {}), after.get("functions", {})),
        "udfConfigDiff": _version_diff(before, after),
        "cronDiff": _cron_diff(_crons(before), _crons(after)),
        "indexDiff": _index_diff(live, pushed, component),
        "schemaDiff": _schema_diff(_schema(live, component), _schema(pushed, component)),
    }


def _analysed(push: Push | None, component: str) -> dict[str, Any]:
    if push is None or component not in push.components:
        return {}
    found: dict[str, Any] = push.analysis[push.components[component]]
    return found


def _names_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    return {"added": sorted(set(after) - set(before)), "removed": sorted(set(before) - set(after))}


def _providers(push: Push | None) -> dict[str, None]:
    return {json.dumps(provider, sort_keys=True): None for provider in (push.app_auth if push else [])}


def _version_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str] | None:
    previous = before.get("udfConfig", {}).get("serverVersion", "")
    following = after.get("udfConfig", {}).get("serverVersion", "")
    return None if previous == following else {"previous_version": previous, "next_version": following}


def _crons(analysed: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in analysed.get("functions", {}).values():
        specs = module.get("cronSpecs")
        found.update(fields(specs) or dict(items(specs)))
    return found


def _cron_diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        "added": sorted(set(after) - set(before)),
        "updated": sorted(name for name in after if name in before and after[name] != before[name]),
        "deleted": sorted(set(before) - set(after)),
    }


def _schema(push: Push | None, component: str) -> dict[str, Any] | None:
    return push.schemas.get(component) if push else None


def _schema_diff(before: Any, after: Any) -> dict[str, str | None] | None:
    if before == after:
        return None
    return {
        "previous_schema": json.dumps(before) if before else None,
        "next_schema": json.dumps(after) if after else None,
    }


def _index_diff(live: Push | None, pushed: Push, component: str) -> dict[str, list[Index]]:
    before, after = _indexes(_schema(live, component)), _indexes(_schema(pushed, component))
    return {
        "added_indexes": [index for name, index in after.items() if index != before.get(name)],
        "removed_indexes": [index for name, index in before.items() if index != after.get(name)],
    }


def _indexes(schema: Mapping[str, Any] | None) -> dict[str, Index]:
    found = [index for table in (schema or {}).get("tables", []) for index in _indexes_of(table)]
    return {index["name"]: index for index in found}


def _indexes_of(table: Mapping[str, Any]) -> list[Index]:
    def named(index: Mapping[str, Any]) -> str:
        return f"{table['tableName']}.{index['indexDescriptor']}"

    def listed(kind: str) -> list[Mapping[str, Any]]:
        return table.get(kind) or []

    return [
        *(
            {"name": named(index), "type": "database", "fields": _with_time(index["fields"])}
            for index in listed("indexes")
        ),
        *(
            {"name": named(index), "type": "search", **_picked(index, "searchField", "filterFields")}
            for index in listed("searchIndexes")
        ),
        *(
            {"name": named(index), "type": "vector", **_picked(index, "vectorField", "dimensions", "filterFields")}
            for index in listed("vectorIndexes")
        ),
    ]


def _with_time(fields: list[str]) -> list[str]:
    return fields if fields[-1:] == ["_creationTime"] else [*fields, "_creationTime"]


def _picked(index: Mapping[str, Any], *names: str) -> Index:
    return {name: index[name] for name in names if name in index}


def _predicted_tables(schema: Mapping[str, Any] | None, counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return [
        {"name": name, "outcome": "mustWalk", "numDocs": counts.get(name, 0), "sizeBytes": 0}
        for name in (table["tableName"] for table in (schema or {}).get("tables", []))
    ]


def _predicted_indexes(diff: Mapping[str, list[Index]], counts: Mapping[str, int]) -> list[Index]:
    def predicted(index: Index, change: str) -> Index:
        documents = counts.get(index["name"].partition(".")[0], 0)
        return {**index, "change": change, "needsBackfill": change == "added", "numDocs": documents}

    return [
        *(predicted(index, "added") for index in diff["added_indexes"]),
        *(predicted(index, "dropped") for index in diff["removed_indexes"]),
    ]
