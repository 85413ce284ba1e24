"""
Answers in words, for the model that reads them: the outcome first, then what to act on, then the rest.

Whatever came out of the app or its data is fenced: it is data, and may have been
written to look like an instruction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import singledispatch

from pydantic import BaseModel

from mcp_convex.boundary.fencing import fence
from mcp_convex.domain.connections import Connection
from mcp_convex.domain.dev_servers import DevServerStatus
from mcp_convex.domain.models import FunctionResult, LogEntry, LogPage, Page, Target
from mcp_convex.domain.pushes import Changes, CheckResult, Diagnostic, PushResult, Walk
from mcp_convex.services.connections import Connecting, Connections, Disconnected
from mcp_convex.services.differences import Difference
from mcp_convex.services.docs import Hits
from mcp_convex.services.env_vars import EnvVarsChanged
from mcp_convex.services.files import FileContent, Written
from mcp_convex.services.snapshots import Restored

SHOWN_DIAGNOSTICS = 12
"""In words; the structured content has all of them."""


@singledispatch
def text_of(result: BaseModel) -> str:
    """Return *result* in words; compact JSON where no words were written for it."""
    return result.model_dump_json(exclude_none=True, exclude_defaults=True)


@text_of.register
def _check(result: CheckResult) -> str:
    said = "ok" if result.ok else f"not ok: {result.failure}"
    lines = [f"{said}, in {result.duration_s:.1f} s", *_found(result.diagnostics)]
    if result.raw_tail:
        lines.append(fence(result.raw_tail))
    return "\n".join([*lines, f"Next step: {result.next_step}"])


@text_of.register
def _push(result: PushResult) -> str:
    why = f": {result.failure}" if result.failure else ""
    lines = [f"{result.outcome}{why}, in {result.duration_s:.1f} s (stage: {result.stage}; push {result.id})"]
    if result.target:
        lines.append(f"Deployment: {_where(result.target)}")
    if result.changes:
        lines.append(_changes(result.changes))
    lines += result.notes
    lines += _found(result.diagnostics)
    if result.raw_tail:
        lines.append(fence(result.raw_tail))
    return "\n".join([*lines, f"Next step: {result.next_step}"])


def _where(target: Target) -> str:
    return f"{target.kind} `{target.name}`, {target.url}"


def _found(diagnostics: Sequence[Diagnostic]) -> list[str]:
    if not diagnostics:
        return []
    shown: list[str] = []
    said: set[str | None] = {None}
    for found in diagnostics[:SHOWN_DIAGNOSTICS]:
        shown.append(_diagnostic(found, with_hint=found.hint not in said))
        said.add(found.hint)
    if (more := len(diagnostics) - SHOWN_DIAGNOSTICS) > 0:
        shown.append(f"… and {more} more in the structured content.")
    return [fence("\n".join(shown))]


def _changes(changes: Changes) -> str:
    marks = (
        ("+", changes.functions.added),
        ("~", changes.functions.changed),
        ("-", changes.functions.removed),
        ("now public:", changes.functions.made_public),
        ("now internal:", changes.functions.made_internal),
        ("+ index", changes.indexes.added),
        ("- index", changes.indexes.removed),
        ("builds", [f"{walk.name} from {_documents(walk)}" for walk in changes.backfills]),
        (
            "checks",
            [f"{_documents(walk)} of {walk.name}" for walk in changes.validated if walk.documents],
        ),
    )
    said = [f"{mark} {', '.join(names)}" for mark, names in marks if names]
    return "Changes: " + ("; ".join(said) or "none")


def _documents(walk: Walk) -> str:
    return "1 document" if walk.documents == 1 else f"{walk.documents:,} documents"


def _diagnostic(found: Diagnostic, *, with_hint: bool) -> str:
    where = ":".join(str(part) for part in (found.file, found.line, found.column) if part is not None)
    lines = [f"{where or found.source}: {found.severity} {found.code}: {found.message}"]
    if found.snippet:
        lines.append(f"    {found.snippet}")
    if with_hint:
        lines.append(f"    Hint: {found.hint}")
    return "\n".join(lines)


@text_of.register
def _dev_server(status: DevServerStatus) -> str:
    to = f"; deployment: {_where(status.target)}" if status.target else ""
    lines = [f"{status.state}{to}" if status.on else "off"]
    lines += [said for said in (status.stopped_because, status.trouble) if said]
    if (last := status.last_push) is not None:
        failed = f"; failure: {last.failure}, {status.failures_alike} times alike" if last.failure else ""
        lines += [f"Last push {last.id}, at {last.at:%H:%M:%S} UTC: {last.outcome}{failed}", *_found(last.diagnostics)]
    return "\n".join([*lines, f"Next step: {status.next_step}"])


@text_of.register
def _value(result: FunctionResult) -> str:
    said = "\n".join([json.dumps(result.value, ensure_ascii=False), *result.log_lines])
    return f"Returned in {result.duration_ms:.0f} ms:\n{fence(said)}"


@text_of.register
def _page(page: Page) -> str:
    rows = "\n".join(json.dumps(document, ensure_ascii=False) for document in page.documents)
    more = f" More with cursor `{page.cursor}`." if page.cursor else ""
    if not page.documents:
        return f"`{page.table}` has no documents here.{more}"
    return f"{len(page.documents)} documents of `{page.table}`.{more}\n{fence(rows)}"


@text_of.register
def _logs(page: LogPage) -> str:
    said = "\n".join(_entry(entry) for entry in page.entries)
    return f"{fence(said) if said else 'Nothing was logged.'}\nLater entries with cursor `{page.cursor}`."


def _entry(entry: LogEntry) -> str:
    took = "" if entry.duration_ms is None else f" {entry.duration_ms:.0f} ms"
    ok = {True: " ok", False: " failed", None: ""}[entry.success]
    head = f"{entry.at:%H:%M:%S} {entry.kind} {entry.function}{ok}{took}"
    error = [f"  {entry.error}"] if entry.error else []
    return "\n".join([head, *(f"  {line}" for line in entry.lines), *error])


@text_of.register
def _file(file: FileContent) -> str:
    return (
        f"`{file.path}`, lines {file.first_line} to {file.last_line} of {file.lines}, sha256 {file.sha256}\n"
        f"{fence(file.content)}"
    )


@text_of.register
def _written(result: Written) -> str:
    by_action = {
        change.action: [f"`{other.path}`" for other in result.changes if other.action == change.action]
        for change in result.changes
    }
    done = [f"{action} {', '.join(paths)}" for action, paths in by_action.items()]
    next_step = [f"Next steps:\n{result.next_step}"] if result.next_step else []
    return "\n".join([*done, *_found(result.diagnostics), *next_step])


@text_of.register
def _restored(result: Restored) -> str:
    differ = "1 file differs" if len(result.changes) == 1 else f"{len(result.changes)} files differ"
    said = [f"{differ} from snapshot `{result.snapshot}` of {result.taken_at:%Y-%m-%d %H:%M} UTC"]
    if result.undo:
        said = [f"{said[0]}, and were restored; undo: `{result.undo}`"]
    if result.changes:
        said.append(fence("\n".join(_difference(change) for change in result.changes)))
    return "\n".join([*said, f"Next step: {result.next_step}"])


def _difference(change: Difference) -> str:
    return f"{change.action} {change.path}" + (f"\n{change.diff}" if change.diff else "")


@text_of.register
def _env_vars_changed(result: EnvVarsChanged) -> str:
    done = [f"Set: {', '.join(result.set)}."] if result.set else []
    done += [f"Unset: {', '.join(result.unset)}."] if result.unset else []
    if not done:
        return f"None of these was set on `{result.deployment}`. Nothing was changed."
    return "\n".join([f"Deployment `{result.deployment}`.", *done, result.next_step])


@text_of.register
def _hits(found: Hits) -> str:
    return "\n\n".join(f"{hit.title} ({hit.uri})\n{hit.text}" for hit in found.hits) or "Nothing has these words."


@text_of.register
def _connecting(result: Connecting) -> str:
    said = [_connection(result.connection)] if result.connection else []
    link = [f"Link for the person: {result.link}"] if result.link else []
    return "\n".join([*said, *link, f"Next step: {result.next_step}"])


@text_of.register
def _connections(result: Connections) -> str:
    serves = _where(result.target) if result.target else "the embedded one on this machine"
    said = [_connection(connection) for connection in result.connections] or ["No connection to Convex."]
    return "\n".join([*said, f"This workspace's deployment: {serves}.", f"Next step: {result.next_step}"])


@text_of.register
def _disconnected(result: Disconnected) -> str:
    unlinked = [f"Unlinked: {', '.join(result.unlinked)}"] if result.unlinked else []
    return "\n".join([_connection(result.connection), *unlinked, f"Next step: {result.next_step}"])


def _connection(connection: Connection) -> str:
    of = [f"team `{connection.team.slug}`"] if connection.team else []
    of += [f"project `{connection.project.slug}`"] if connection.project else []
    why = f": {connection.reason}" if connection.reason else ""
    return f"{connection.state} ({', '.join([f'{connection.scope} access', *of, f'id {connection.id}'])}){why}"
