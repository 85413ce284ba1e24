"""Convex's nouns, as this server speaks of them. No model here carries a secret."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, NewType

from pydantic import BaseModel, ConfigDict, Field, JsonValue

WorkspaceId = NewType("WorkspaceId", str)
FilePath = NewType("FilePath", str)
"""A path from the workspace's root, with `/`, normalised: `convex/messages.ts`."""

PrincipalId = NewType("PrincipalId", str)

LOCAL_PRINCIPAL = PrincipalId("local")
"""The person at this machine, in the local shape."""

DeploymentType = Literal["dev", "prod", "preview", "custom"]
DeploymentKind = Literal["embedded", "self_hosted", "cloud"]
LocalIsolation = Literal["none", "landlock", "bwrap", "strict"]
"""How commands are confined on this machine."""
IsolationMode = Literal[LocalIsolation, "vm"]
"""`vm` is a machine of the workspace's own, elsewhere."""


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(Model):
    """The deployment that a workspace pushes to."""

    kind: DeploymentKind = Field(
        description="`embedded` runs on this machine, for trying things; it is no Convex backend."
    )
    name: str = Field(description="The deployment's name; for a self-hosted one, its host.")
    type: DeploymentType | None = Field(default=None, description="`prod` is refused unless the operator allows it.")
    url: str = Field(description="Where the app's clients reach the deployment.")
    site_url: str | None = Field(default=None, description="Where its HTTP actions answer.")


FunctionKind = Literal["query", "mutation", "action", "http_action"]
Visibility = Literal["public", "internal"]


class ConvexFunction(Model):
    """One function of the deployment, as the deployment itself analysed it."""

    name: str = Field(description="As `run_function` takes it, `messages:send`; for an HTTP action, `GET /path`.")
    kind: FunctionKind
    visibility: Visibility = "public"
    args: str | None = Field(default=None, description="The argument validator in short, such as `{body: string}`.")
    returns: str | None = Field(default=None, description="The return validator in short.")


class Functions(Model):
    """The functions of a deployment, as many as fit into one answer."""

    functions: tuple[ConvexFunction, ...]
    omitted: int = Field(default=0, description="How many more there are; narrow the list to see them.")


class Table(Model):
    name: str
    documents: int | None = Field(default=None, description="How many it holds, where the deployment says so.")
    fields: str | None = Field(
        default=None, description="The document validator in short; without a schema, `inferred` from what is stored."
    )
    indexes: tuple[str, ...] = Field(default=(), description="Such as `by_channel(channelId, _creationTime)`.")


class Tables(Model):
    """The tables of a deployment, as many as fit into one answer."""

    tables: tuple[Table, ...]
    omitted: int = Field(default=0, description="How many more there are.")


class Page(Model):
    """One page of a table's documents."""

    table: str
    documents: tuple[dict[str, JsonValue], ...]
    cursor: str | None = Field(default=None, description="Pass it to read on; none at the end.")
    trimmed: bool = Field(default=False, description="Long values are cut, each with a mark that begins with `…`.")


class FunctionResult(Model):
    """What a function returned."""

    value: JsonValue = Field(default=None, description="The returned value, in Convex's JSON.")
    log_lines: tuple[str, ...] = Field(default=(), description="What the function logged.")
    duration_ms: float = Field(default=0, description="Milliseconds, as measured by this server.")
    trimmed: bool = Field(default=False, description="Long values are cut, each with a mark that begins with `…`.")


class LogEntry(Model):
    at: datetime
    function: str
    kind: str
    request_id: str = ""
    duration_ms: float | None = None
    success: bool | None = None
    error: str | None = None
    lines: tuple[str, ...] = ()


class LogPage(Model):
    entries: tuple[LogEntry, ...]
    cursor: str = Field(description="Pass it to read what came later.")
    omitted: int = Field(default=0, description="How many older entries did not fit.")


class DeploymentInfo(Model):
    """What a deployment says of itself, at `GET /api/v1/deployment_info`."""

    kind: Literal["cloud", "selfHosted"]
    deployment_type: DeploymentType | None = None
    project: str | None = None


class FileEntry(Model):
    path: FilePath
    size: int = Field(description="Bytes.")
    sha256: str = Field(description="Of the content, in hex. `write_files` takes it as `base`.")


Arguments = dict[str, Any]
