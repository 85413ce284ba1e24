"""What to do after a push, in one sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_convex.domain.pushes import Diagnostic, FailureClass, Outcome

STUBBORN = 5
"""Failures for one and the same reason after which trying again is no use."""

GIVE_UP = (
    f"Stop here: {STUBBORN} pushes in a row failed for this very reason. Tell the person what the diagnostics say and "
    "what you tried, and ask how to go on."
)
EMPTY = Diagnostic(
    severity="note",
    code="nothing_to_push",
    message="There is neither a schema nor a function in the workspace.",
    hint="Write a schema and functions with `write_files`, or begin with one of its templates.",
    source="check",
)
_WITH_NOTHING: dict[Outcome, str] = {
    "pushed": "What is live now is empty",
    "previewed": "A push would leave nothing live",
    "checked": "There is nothing to push yet",
}
_BEGIN = "write a schema and functions with `write_files`, or begin with one of its templates, then call `push`."
_AFTER: dict[Outcome, str] = {
    "pushed": "Try it with `run_function`; `read_logs` shows what it logged.",
    "previewed": "Call `push` to make this live, or change it first with `write_files`.",
    "checked": "Call `push` to make the code live.",
}
_INSTEAD: dict[FailureClass, str] = {
    "source": "Mend {place} with `write_files`, then call `push` again.",
    "data_mismatch": "Widen the schema with `write_files` so that it fits the stored documents, call `push`, then "
    "convert them with `run_function` before you narrow it.",
    "env_missing": "Give {names} with `request_env_var` (secrets) or `set_env_vars`, then call `push` again.",
    "auth": "Ask the person to renew the connection or to grant what is missing: with `connect` for Convex cloud, with "
    "`mcp-convex connect` for a self-hosted deployment.",
    "quota": "Tell the person that the deployment is paused or has reached a limit of its plan: only they can lift it.",
    "conflict": "Call `push` again: something else changed the deployment meanwhile.",
    "too_large": "Make the code smaller with `write_files`, with fewer or lighter packages, then call `push` again.",
    "needs_consent": "Tell the person what would go. `push` again asks them (where the client cannot ask, they run "
    "`mcp-convex push --yes`), or change the code with `write_files` so that nobody need be asked.",
    "transient": "Call `push` again in a minute: Convex or the network was at fault, not the code.",
    "timeout": "Call `push` again; if it runs out of time once more, push less at once or tell the operator.",
    "tooling": "Follow the diagnostics' hints; where there are none, show the person `raw_tail`.",
}


def next_step(outcome: Outcome, failure: FailureClass | None, diagnostics: Sequence[Diagnostic]) -> str:
    """Return what the agent should do now, naming our tools."""
    if failure is None:
        if EMPTY in diagnostics:
            return f"{_WITH_NOTHING[outcome]}: {_BEGIN}"
        return _AFTER.get(outcome, _INSTEAD["tooling"])
    errors = [diagnostic for diagnostic in diagnostics if diagnostic.severity == "error"]
    return _INSTEAD[failure].format(place=_place(errors), names=_names(errors))


def _place(errors: Sequence[Diagnostic]) -> str:
    """Name the first place that the agent can write to, and how much else there is."""
    first = next((error for error in errors if error.file and not error.file.startswith("node_modules/")), None)
    if not first:
        return "what the diagnostics say"
    place = f"`{first.file}`" + (f" line {first.line}" if first.line else "")
    others = len(errors) - 1
    return place + ("" if not others else " and the other error" if others == 1 else f" and the other {others} errors")


def _names(errors: Sequence[Diagnostic]) -> str:
    named = [found[1] for error in errors if (found := re.search(r"(?:env var|variable) `(\w+)`", error.message))]
    return ", ".join(f"`{name}`" for name in named) or "the missing env vars"
