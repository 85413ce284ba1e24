"""A push as the deployment keeps it: what was sent, where it lies, and what the engine found in it."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mcp_convex.embedded import durable
from mcp_convex.embedded.modules import Module, ModuleStore
from mcp_convex.embedded.refusals import bad_request
from mcp_convex.embedded.wire import fields, items


@dataclass(frozen=True, slots=True)
class StoredModule:
    """One module: where the CLI put it, and the hash under which its source is kept."""

    path: str
    environment: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Definition:
    """The app, or a component, before it is mounted anywhere."""

    path: str
    dependencies: list[str]
    server_version: str
    definition: StoredModule | None
    schema: StoredModule | None
    modules: list[StoredModule]

    def all(self) -> Iterator[StoredModule]:
        """Yield every module."""
        yield from (module for module in (self.definition, self.schema) if module)
        yield from self.modules


@dataclass(frozen=True, slots=True)
class Push:
    """Code, schema and configuration. The first definition is the app's."""

    id: str
    functions: str
    node_version: str | None
    definitions: list[Definition]
    packages: list[str] = field(default_factory=list[str])
    """What its node modules import from npm, unbundled."""
    analysis: dict[str, Any] = field(default_factory=dict[str, Any])
    app: dict[str, Any] = field(default_factory=dict[str, Any])
    app_auth: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    schemas: dict[str, Any] = field(default_factory=dict[str, Any])
    """By component."""
    components: dict[str, str] = field(default_factory=dict[str, str])
    """Each component's definition path; the app is `""`."""
    missing_env: list[str] = field(default_factory=list[str])

    @property
    def hashes(self) -> Iterator[str]:
        return (module.sha256 for definition in self.definitions for module in definition.all())

    @property
    def required_env(self) -> list[str]:
        """The env vars that `convex.config.ts` declares and a deployment may not lack."""
        declared = items(fields(fields(self.analysis.get("")).get("definition")).get("envVars"))
        return [name for name, dependency in declared if not dependency.get("optional")]

    def same_as(self, other: Push) -> bool:
        """Whether *other* is the same code."""
        return (self.definitions, self.functions) == (other.definitions, other.functions)

    def loaded(self, answer: dict[str, Any]) -> Push:
        """Return the push with what the engine answered to `load`."""
        return replace(
            self,
            analysis=answer["analysis"],
            app=answer["app"],
            app_auth=answer["appAuth"],
            schemas=answer["schemas"],
            components=answer["components"],
            missing_env=answer["missingEnv"],
        )

    def copied(self) -> Push:
        """Return the push under an id of its own."""
        return replace(self, id=_new_id())

    def with_auth(self, app_auth: list[dict[str, Any]]) -> Push:
        """Return the push with its auth config evaluated anew."""
        return replace(self, app_auth=app_auth)

    def record(self) -> dict[str, Any]:
        """Return what `read` reads."""
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> Push | None:
        """
        Return the push whose `record` is kept at *path*, if there is one.

        Raises:
            StoreCorrupt: Something else is kept there.
        """
        record = durable.read_json(path)
        if record is None:
            return None
        try:
            definitions = [_definition_of(definition) for definition in record.pop("definitions")]
            return cls(definitions=definitions, **record)
        except (KeyError, TypeError, AttributeError) as exc:
            raise durable.unreadable(path) from exc

    @classmethod
    def sent(cls, body: dict[str, Any], modules: ModuleStore) -> Push:
        """
        Return the push that a `start_push` request brings, its modules kept in *modules*.

        Raises:
            Refusal: The request lacks something, or names a module that was never pushed.
        """
        try:
            app = body["appDefinition"]
            unchanged = [
                StoredModule(known["path"], known["environment"], known["sha256"])
                for known in app["unchangedModuleHashes"]
            ]
            definitions = [
                _keep("", app, [*_keep_all(app["changedModules"], modules), *unchanged], modules),
                *(
                    _keep(component["definitionPath"], component, _keep_all(component["functions"], modules), modules)
                    for component in body["componentDefinitions"]
                ),
            ]
            functions = body["functions"]
            packages = [dependency["name"] for dependency in body["nodeDependencies"]]
        except (KeyError, TypeError, AttributeError) as exc:
            raise bad_request("BadPushRequest", f"The push lacks {exc}, or it is not what it should be.") from exc
        return cls(_new_id(), functions, body.get("nodeVersion"), definitions, packages)


class PushFolder:
    """Where the engine reads what was pushed: a folder a push, each complete but for npm packages."""

    def __init__(self, folder: Path, node_modules: Path | None) -> None:
        self._folder = folder
        self._node_modules = node_modules

    def write(self, push: Push, modules: ModuleStore) -> None:
        """
        Write *push* out.

        Raises:
            Refusal: A module is not known, or its path leads out of the folder.
        """
        root = durable.make_folder(self._folder / push.id)
        described = [
            _write_definition(root, f"d{number}", definition, modules)
            for number, definition in enumerate(push.definitions)
        ]
        (root / "package.json").write_text('{"type":"module"}')
        if push.packages and self._node_modules:
            (root / "node_modules").symlink_to(self._node_modules)
        manifest = {"functions": push.functions, "app": described[0], "components": described[1:]}
        (root / "push.json").write_text(json.dumps(manifest))

    def remove(self, push: Push) -> None:
        """Remove *push*'s folder."""
        shutil.rmtree(self._folder / push.id, ignore_errors=True)

    def prune(self, kept: Collection[str]) -> None:
        """Remove every folder but those of the pushes named in *kept*."""
        for folder in durable.make_folder(self._folder).iterdir():
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)


def _new_id() -> str:
    return secrets.token_hex(8)


def _definition_of(record: dict[str, Any]) -> Definition:
    definition, schema = (StoredModule(**record[name]) if record[name] else None for name in _SINGLE)
    modules = [StoredModule(**module) for module in record["modules"]]
    path, dependencies, server_version = record["path"], record["dependencies"], record["server_version"]
    return Definition(path, dependencies, server_version, definition, schema, modules)


_SINGLE = ("definition", "schema")


def _keep(path: str, sent: dict[str, Any], functions: list[StoredModule], modules: ModuleStore) -> Definition:
    definition, schema = (_keep_all([sent[name]], modules)[0] if sent.get(name) else None for name in _SINGLE)
    return Definition(path, sent["dependencies"], sent["udfServerVersion"], definition, schema, functions)


def _keep_all(sent: Iterable[Module], modules: ModuleStore) -> list[StoredModule]:
    return [StoredModule(module["path"], module["environment"], modules.put(module)) for module in sent]


def _write_definition(root: Path, name: str, definition: Definition, modules: ModuleStore) -> dict[str, Any]:
    def write(module: StoredModule | None, part: str) -> dict[str, Any] | None:
        return _write_module(root, f"{name}/{part}", module, modules) if module else None

    return {
        "definitionPath": definition.path,
        "udfServerVersion": definition.server_version,
        "dependencies": definition.dependencies,
        "definition": write(definition.definition, "definition"),
        "schema": write(definition.schema, "schema"),
        "modules": [write(module, "functions") for module in definition.modules],
    }


def _write_module(root: Path, part: str, module: StoredModule, modules: ModuleStore) -> dict[str, Any]:
    file = f"{part}/{_confined(module.path)}"
    found = modules.get(module.path, module.environment, module.sha256)
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(found["source"])
    if found["sourceMap"]:
        (root / f"{file}.map").write_text(found["sourceMap"])
    return {"path": module.path, "file": file, "environment": module.environment}


def _confined(path: str) -> PurePosixPath:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\0" in path or not parts.parts:
        raise bad_request("InvalidModulePath", f"{path!r} is no path of a module.")
    return parts
