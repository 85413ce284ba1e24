"""The parts of the push protocol's bodies that the gate reads; the rest passes through unread."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel


class Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


# --- what the CLI sends ------------------------------------------------------------------------------------------


class Keyed(Wire):
    """Any body: it carries the key that the deployment goes by."""

    admin_key: str


class Module(Wire):
    path: str
    source: str
    source_map: str | None = None


class SourceMap(Wire):
    sources: tuple[str, ...] = ()


class KnownModule(Wire):
    """A module that the deployment has already, by its hash."""

    path: str
    sha256: str


class AppDefinition(Wire):
    definition: Module | None = None
    auth: Module | None = None
    schema_: Module | None = Field(default=None, alias="schema")
    changed_modules: tuple[Module, ...] = ()
    unchanged_module_hashes: tuple[KnownModule, ...] = ()


class ComponentDefinition(Wire):
    definition_path: str
    definition: Module
    schema_: Module | None = Field(default=None, alias="schema")
    functions: tuple[Module, ...] = ()


class PushRequest(Keyed):
    """The body of `start_push` and `evaluate_schema`."""

    functions: str = "convex/"
    app_definition: AppDefinition
    component_definitions: tuple[ComponentDefinition, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Say whether there is neither a function nor a schema in it."""
        app = self.app_definition
        modules = (*app.changed_modules, *app.unchanged_module_hashes, *self.component_definitions)
        return not modules and app.schema_ is None


# --- what a deployment answers -----------------------------------------------------------------------------------


class Refusal(Wire):
    """The body of an answer other than 200."""

    code: str | None = None
    message: str | None = None


class CanonicalUrls(Wire):
    convex_cloud_url: str
    convex_site_url: str


class ModuleHash(Wire):
    path: str
    hash: str


class ConfigHashes(Wire):
    config: dict[str, JsonValue]
    module_hashes: tuple[ModuleHash, ...]


class Index(Wire):
    name: str
    fields: tuple[str, ...] = ()
    search_field: str | None = None
    vector_field: str | None = None
    staged: bool | None = None


class IndexDiff(Wire):
    added_indexes: tuple[Index, ...] = Field(alias="added_indexes")
    removed_indexes: tuple[Index, ...] = Field(alias="removed_indexes")


class SchemaChange(Wire):
    index_diffs: dict[str, IndexDiff] | None = None


class Named(Wire):
    kind: str


class AnalysedFunction(Wire):
    name: str
    udf_type: Literal["Query", "Mutation", "Action"]
    visibility: Named | None = None


class HttpRoute(Wire):
    method: str
    path: str


class AnalysedRoute(Wire):
    route: HttpRoute


class AnalysedModule(Wire):
    functions: tuple[AnalysedFunction, ...]
    http_routes: Any = None
    """`AnalysedRoute`s; the CLI takes anything here, and so does the gate."""


class AnalysedTable(Wire):
    table_name: str


class AnalysedSchema(Wire):
    tables: tuple[AnalysedTable, ...]


class Analysis(Wire):
    functions: dict[str, AnalysedModule]
    schema_: AnalysedSchema | None = Field(default=None, alias="schema")


class PushStarted(Wire):
    """The answer to `start_push`."""

    environment_variables: dict[str, str]
    component_definition_packages: dict[str, Any]
    app_auth: list[Any]
    app: dict[str, Any]
    analysis: dict[str, Analysis]
    schema_change: SchemaChange


class ComponentStatus(Wire):
    schema_validation_complete: bool


class SchemaStatus(Wire):
    """The answer to `wait_for_schema`."""

    type: Literal["inProgress", "complete", "failed", "raceDetected"]
    components: dict[str, ComponentStatus] = {}
    error: str = ""
    component_path: str | None = None
    table_name: str | None = None

    @property
    def documents_fit(self) -> bool:
        """Whether every stored document is known to fit, though indexes may still be building."""
        checked = [component.schema_validation_complete for component in self.components.values()]
        return self.type == "complete" or (self.type == "inProgress" and bool(checked) and all(checked))


class PushFinished(Wire):
    """The answer to `finish_push`."""

    auth_diff: dict[str, Any]
    definition_diffs: dict[str, Any]
    component_diffs: dict[str, Any]


class IndexForecast(Index):
    num_docs: int = 0
    needs_backfill: bool = True


class TableForecast(Wire):
    name: str
    outcome: str = ""
    num_docs: int = 0


class ComponentForecast(Wire):
    indexes: tuple[IndexForecast, ...] = ()
    tables: tuple[TableForecast, ...] = ()


class SchemaForecast(Wire):
    """The answer to `evaluate_schema`."""

    component_schema_evaluations: dict[str, ComponentForecast]
