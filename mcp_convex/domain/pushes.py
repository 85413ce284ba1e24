"""A push and what came of it: the words of the contract that agents, pages and other services rely on."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from mcp_convex.domain.models import IsolationMode, Model, Target

Outcome = Literal["pushed", "previewed", "checked", "rejected", "failed"]
Purpose = Literal["push", "preview", "check"]
"""`push` goes live; `preview` asks the deployment and stops before that; `check` never leaves this server."""

Stage = Literal["installing", "bundling", "starting", "type check", "schema", "finishing", "done"]
STAGES: tuple[Stage, ...] = ("installing", "bundling", "starting", "type check", "schema", "finishing", "done")

FailureClass = Literal[
    "source",
    "data_mismatch",
    "env_missing",
    "auth",
    "quota",
    "conflict",
    "too_large",
    "needs_consent",
    "transient",
    "timeout",
    "tooling",
]
REJECTIONS: frozenset[FailureClass] = frozenset(
    {"source", "data_mismatch", "env_missing", "too_large", "needs_consent"}
)
"""Failures that the code or its setting has earned: `rejected`. Any other is `failed`."""

ASKED_OF_A_PERSON = frozenset({"functions_removed", "functions_made_internal", "indexes_removed", "large_index"})
"""The codes of what a push does only once a person has agreed."""

Severity = Literal["error", "warning", "note"]
Source = Literal["tsc", "esbuild", "convex", "check"]


class Diagnostic(Model):
    """One thing that is wrong, where, and the smallest repair."""

    file: str | None = Field(default=None, description="From the workspace's root.")
    line: int | None = Field(default=None, description="1-based.")
    column: int | None = Field(default=None, description="1-based.")
    severity: Severity = "error"
    code: str = Field(description="Stable: `TS2322`, `SchemaValidationFailed`, `InvalidModules`, `unresolved_import`…")
    message: str
    snippet: str | None = Field(default=None, description="The line of source that is meant.")
    hint: str | None = Field(default=None, description="The smallest repair.")
    source: Source


class ChangedFunctions(Model):
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    made_public: tuple[str, ...] = Field(default=(), description="Of the changed ones; anybody may call them then.")
    made_internal: tuple[str, ...] = Field(default=(), description="Of the changed ones; clients lose them.")


class Walk(Model):
    """Documents that Convex reads through before the push is live."""

    name: str = Field(description="The table, or the index such as `messages.by_channel(channelId)`.")
    documents: int = Field(description="How many the table holds.")


class ChangedIndexes(Model):
    added: tuple[str, ...] = Field(default=(), description="Such as `messages.by_channel(channelId)`.")
    removed: tuple[str, ...] = ()


class Changes(Model):
    """What a push would do, or did, as the deployment's own analysis has it."""

    functions: ChangedFunctions = ChangedFunctions()
    indexes: ChangedIndexes = ChangedIndexes()
    tables: tuple[str, ...] = Field(default=(), description="The tables that the schema declares.")
    backfills: tuple[Walk, ...] = Field(
        default=(), description="Indexes that are built from stored documents, where the deployment tells."
    )
    validated: tuple[Walk, ...] = Field(
        default=(), description="Tables whose documents are checked against the schema, where the deployment tells."
    )


class PushResult(Model):
    """What came of a push. `outcome` is `pushed` only when the deployment itself confirmed it."""

    outcome: Outcome
    id: str = Field(description="Read it again as `convex://pushes/{id}`.")
    stage: Stage = Field(description="How far it came.")
    failure: FailureClass | None = Field(default=None, description="Why it did not go through; none when it did.")
    next_step: str = Field(description="What to do now.")
    target: Target | None = None
    duration_s: float = Field(description="Seconds.")
    attempts: int = Field(default=1, description="How often the CLI was started or an upstream call was repeated.")
    diagnostics: tuple[Diagnostic, ...] = ()
    changes: Changes | None = None
    snapshot: str | None = Field(
        default=None, description="Of the files, as pushed or as restored; `restore_files` takes it."
    )
    isolation: IsolationMode | None = Field(default=None, description="How the CLI was confined while it ran.")
    notes: tuple[str, ...] = Field(default=(), description="What else is worth knowing.")
    raw_tail: str | None = Field(default=None, description="The end of the CLI's output, where no parser knew it.")


def same_failure(one: PushResult, other: PushResult) -> bool:
    """Say whether two pushes failed for the same reason, at the same places, in the same words."""
    return one.failure is not None and _signature(one) == _signature(other)


def _signature(result: PushResult) -> tuple[FailureClass | None, frozenset[tuple[str, str | None, str]]]:
    errors = (found for found in result.diagnostics if found.severity == "error")
    return result.failure, frozenset((error.code, error.file, error.message) for error in errors)


class CheckResult(Model):
    """What the type check of the current sources found, without any deployment."""

    ok: bool = Field(description="True when the sources bundle and type-check.")
    next_step: str = Field(description="What to do now.")
    duration_s: float = Field(description="Seconds.")
    failure: FailureClass | None = Field(default=None, description="Why it is not ok.")
    diagnostics: tuple[Diagnostic, ...] = ()
    isolation: IsolationMode | None = Field(default=None, description="How the compiler was confined while it ran.")
    notes: tuple[str, ...] = Field(default=(), description="What else is worth knowing.")
    raw_tail: str | None = Field(default=None, description="The end of the output, where no parser knew it.")


class GateVerdict(Model):
    """
    What the gate saw of one run of the CLI, whatever the CLI itself said.

    `live` is the only proof that code went live: the deployment answered `finish_push` with success.
    """

    live: bool = False
    reached: Stage = "bundling"
    failure: FailureClass | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    changes: Changes | None = None
    attempts: int = 1
    stopped: bool = Field(default=False, description="The gate ended the run on purpose.")
    modules: dict[str, str] = Field(
        default_factory=dict, description="SHA-256 of each module that the push left on the deployment, by its path."
    )


class PushRecord(Model):
    """A push as the store keeps it."""

    id: str
    workspace: str
    started_at: datetime
    result: PushResult
    sources: str | None = Field(
        default=None, description="The fingerprint of the files that were to go live; none for a preview."
    )
    previewed: str | None = Field(default=None, description="The fingerprint of the files of a preview.")
