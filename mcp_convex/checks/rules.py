"""The rules: one file each under rules/, with its words, its examples and, where one can say it, its pattern."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from ast_grep_py import SgNode
from pydantic import BaseModel, ConfigDict, Field

from mcp_convex.checks.facts import Facts, Finding, Function, Kind
from mcp_convex.checks.syntax import start
from mcp_convex.domain.pushes import Severity

RULES = Path(__file__).with_name("rules")
Example = str | dict[str, str]
"""A file of functions, or a workspace: contents by path."""


class Rule(BaseModel):
    """
    What is wrong, how bad that is, and the smallest repair.

    A rule with `match` finds itself by that pattern of ast-grep; the others are found by the
    functions in `of_*.py`, each of which names its rule. Braces in *message* and *hint* hold
    what the pattern's variables, or the function, found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Severity
    message: str
    hint: str
    bad: tuple[Example, ...] = Field(min_length=1)
    good: tuple[Example, ...] = Field(min_length=1)
    match: Mapping[str, Any] | None = None
    constraints: Mapping[str, Any] = {}
    needs: tuple[str, ...] = ()
    """Texts without which a file cannot match, so that most files need no search."""
    within: tuple[Kind, ...] = ()
    """Kinds of function that it must stand in; `$CTX` is then that function's own `ctx`."""
    types_only: bool = False
    """Only the compiler minds: where it does not look, all is well."""
    free: str | None = None
    """A global that the file must not declare itself."""
    clients: bool = False
    """It is about files that use the functions, not about the functions."""


@cache
def rules() -> Mapping[str, Rule]:
    """Return every rule by its name, which is its file's."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return {
        path.stem: Rule.model_validate(yaml.load(path.read_text(encoding="utf-8"), loader))  # noqa: S506 - a safe one
        for path in sorted(RULES.glob("*.yaml"))
    }


@dataclass(frozen=True, slots=True)
class _Pattern:
    name: str
    rule: Rule
    config: Mapping[str, Any]
    variables: tuple[str, ...]


@cache
def _patterns(*, clients: bool) -> tuple[_Pattern, ...]:
    return tuple(
        _Pattern(name, rule, {"rule": rule.match, "constraints": dict(rule.constraints)}, tuple(_variables(rule)))
        for name, rule in rules().items()
        if rule.match is not None and rule.clients == clients
    )


def _variables(rule: Rule) -> Iterator[str]:
    for text in (rule.message, rule.hint):
        yield from (part.partition("}")[0] for part in text.split("{")[1:])


def matches(facts: Facts, root: SgNode, *, clients: bool = False) -> Iterator[Finding]:
    """Yield what the patterns find in one file."""
    for pattern in _patterns(clients=clients):
        rule = pattern.rule
        if not all(needed in facts.text for needed in rule.needs):
            continue
        if rule.within and not any(function.kind in rule.within for function in facts.functions):
            continue
        if rule.free is not None and _declares(facts, rule.free):
            continue
        for node in root.find_all(pattern.config):  # type: ignore[call-overload]
            if _belongs(rule, facts, node):
                found = {name: node.get_match(name) for name in pattern.variables}
                yield Finding(pattern.name, start(node), {k: v.text() for k, v in found.items() if v})


def _declares(facts: Facts, name: str) -> bool:
    if any(name in found.names for found in facts.imports):
        return True
    return any(f"{keyword} {name}" in facts.text for keyword in ("const", "let", "function", "{"))


def _belongs(rule: Rule, facts: Facts, node: SgNode) -> bool:
    if not rule.within:
        return True
    function = enclosing(facts, start(node))
    if function is None or function.kind not in rule.within:
        return False
    ctx = node.get_match("CTX")
    return ctx is None or ctx.text() == function.ctx


def enclosing(facts: Facts, at: int) -> Function | None:
    """Return the function that *at* lies in."""
    return next((function for function in facts.functions if function.at <= at < function.end), None)
