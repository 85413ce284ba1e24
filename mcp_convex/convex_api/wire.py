"""Convex's JSON, field for field. Nothing outside this package sees these models."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from mcp_convex.convex_api.failures import unexpected
from mcp_convex.convex_api.validators import short_index, short_search, short_validator, short_vector
from mcp_convex.domain.models import ConvexFunction, DeploymentInfo, DeploymentType, FunctionKind, Visibility

T = TypeVar("T")

KINDS: dict[str, FunctionKind] = {
    "Query": "query",
    "Mutation": "mutation",
    "Action": "action",
    "HttpAction": "http_action",
}


class Wire(BaseModel):
    # What does not fit is never quoted: it may be an env var's value.
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )


def parse_json(shape: type[T], body: bytes | str) -> T:
    """
    Return *body* as *shape*.

    Raises:
        UnexpectedAnswer: It is not JSON, or has another shape.
    """
    try:
        return TypeAdapter(shape).validate_json(body)
    except ValidationError:
        raise unexpected("Convex's answer does not have the documented shape.") from None


def parse_value(shape: type[T], value: JsonValue) -> T:
    """
    Return *value*, which was JSON, as *shape*.

    Raises:
        UnexpectedAnswer: It has another shape.
    """
    try:
        return TypeAdapter(shape).validate_python(value)
    except ValidationError:
        raise unexpected("Convex's answer does not have the documented shape.") from None


def _log_text(line: JsonValue) -> JsonValue:
    """Return a log line as text; some versions answer with text, others with its parts."""
    if not isinstance(line, dict) or not isinstance(messages := line.get("messages"), list):
        return line
    cut = " (cut by Convex)" if line.get("isTruncated") else ""
    return f"[{line.get('level', 'LOG')}] {' '.join(map(str, messages))}{cut}"


LogText = Annotated[str, BeforeValidator(_log_text)]

PublicUrl = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.\-\[\]:_~/%]+$", max_length=500)]
"""It ends up in the workspace's `.env.local`, so it may hold nothing but a URL."""


class WireInfo(Wire):
    kind: Literal["cloud", "selfHosted"]
    deployment_type: DeploymentType | None = None
    project_slug: str | None = None
    project_name: str | None = None

    def to_domain(self) -> DeploymentInfo:
        project = self.project_slug or self.project_name
        return DeploymentInfo(kind=self.kind, deployment_type=self.deployment_type, project=project)


class WireUrls(Wire):
    convex_cloud_url: PublicUrl
    convex_site_url: PublicUrl


class WireEnvVars(Wire):
    environment_variables: dict[str, SecretStr]


class WireModuleHash(Wire):
    path: str
    hash: str


class WireConfigHashes(Wire):
    module_hashes: tuple[WireModuleHash, ...]


class WireRefusal(Wire):
    """The body of most answers that are not 2xx."""

    code: str = ""
    message: str = ""


class WireOutcome(Wire):
    """How a function ended."""

    status: Literal["success", "error"]
    value: JsonValue = None
    error_message: str = ""
    error_data: JsonValue = None
    log_lines: tuple[LogText, ...] = ()


class WireVisibility(Wire):
    kind: Visibility = "public"


class WireFunction(Wire):
    """An entry of `_system/cli/modules:apiSpec`. An HTTP action has a method and a path, any other an identifier."""

    function_type: Literal["Query", "Mutation", "Action", "HttpAction"]
    identifier: str = ""
    visibility: WireVisibility | None = None
    args: JsonValue = None
    returns: JsonValue = None
    method: str = ""
    path: str = ""

    def to_domain(self) -> ConvexFunction:
        kind = KINDS[self.function_type]
        if kind == "http_action":
            return ConvexFunction(name=f"{self.method} {self.path}", kind=kind)
        return ConvexFunction(
            name=function_name(self.identifier),
            kind=kind,
            visibility=self.visibility.kind if self.visibility else "public",
            args=short_validator(self.args),
            returns=short_validator(self.returns),
        )


def function_name(identifier: str) -> str:
    """Return `messages:send` for `messages.js:send`, as the deployment stores it."""
    module, _, export = identifier.rpartition(":")
    return f"{module.removesuffix('.js')}:{export}" if module else identifier


class WireTableName(Wire):
    name: str


class WireTableNames(Wire):
    page: tuple[WireTableName, ...]
    is_done: bool
    continue_cursor: str = ""


class WireDocuments(Wire):
    page: tuple[dict[str, JsonValue], ...]
    is_done: bool
    continue_cursor: str = ""


class WireSchemas(Wire):
    """What `_system/frontend/getSchemas` answers: each schema is JSON in a string."""

    active: str | None = None


class WireIndex(Wire):
    index_descriptor: str
    fields: tuple[str, ...]

    def short(self) -> str:
        return short_index(self.index_descriptor, self.fields)


class WireSearchIndex(Wire):
    index_descriptor: str
    search_field: str
    filter_fields: tuple[str, ...] = ()

    def short(self) -> str:
        return short_search(self.index_descriptor, self.search_field, self.filter_fields)


class WireVectorIndex(Wire):
    index_descriptor: str
    vector_field: str
    dimensions: int
    filter_fields: tuple[str, ...] = ()

    def short(self) -> str:
        return short_vector(self.index_descriptor, self.vector_field, self.dimensions, self.filter_fields)


class WireTable(Wire):
    """A table as the schema declares it."""

    table_name: str
    document_type: JsonValue = None
    indexes: tuple[WireIndex, ...] = ()
    search_indexes: tuple[WireSearchIndex, ...] = ()
    vector_indexes: tuple[WireVectorIndex, ...] = ()
    staged_db_indexes: tuple[WireIndex, ...] = ()
    staged_search_indexes: tuple[WireSearchIndex, ...] = ()
    staged_vector_indexes: tuple[WireVectorIndex, ...] = ()

    def short_indexes(self) -> tuple[str, ...]:
        live = (self.indexes, self.search_indexes, self.vector_indexes)
        staged = (self.staged_db_indexes, self.staged_search_indexes, self.staged_vector_indexes)
        return (
            *(index.short() for indexes in live for index in indexes),
            *(f"{index.short()} staged" for indexes in staged for index in indexes),
        )


class WireSchema(Wire):
    tables: tuple[WireTable, ...] = ()


class WireLogEntry(Wire):
    """
    A piece of what one execution logged.

    A running action sends its lines as `Progress`; what is left of them comes with its `Completion`.
    """

    kind: Literal["Completion", "Progress"] = "Completion"
    udf_type: Literal["Query", "Mutation", "Action", "HttpAction"]
    identifier: str
    timestamp: AwareDatetime
    log_lines: tuple[LogText, ...] = ()
    execution_time: float | None = None
    error: str | None = None
    request_id: str = ""
    execution_id: str = ""


class WireLogs(Wire):
    entries: tuple[WireLogEntry, ...]
    new_cursor: float
