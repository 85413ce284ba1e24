"""The rules: one file each under rules/, with its words, its examples and, where one can say it, its pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import yaml
from ast_grep_py import Config, SgNode
from pydantic import BaseModel, ConfigDict, Field

from mcp_convex.checks.facts import Facts, Finding, Function, Kind
from mcp_convex.checks.syntax import start
from mcp_convex.domain.pushes import Severity

RULES = Path(__file__).with_name("rules")
Example = str | dict[str, str]
"""A file of functions, or a workspace: contents by path."""


class Constraint(BaseModel):
    """What a variable of a pattern has to be. ast-grep's own constraints would be compiled anew for each file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str | None = None
    regex: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None

    def holds(self, node: SgNode) -> bool:
        """Say whether *node* is so."""
        if self.kind is not None and node.kind() != self.kind:
            return False
        text = node.text()
        return (self.regex is None or self.regex.search(text) is not None) and (
            self.unless is None or self.unless.search(text) is None
        )


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
    constraints: Mapping[str, Constraint] = {}
    seems: str = ""
    """A regular expression without which nothing can match, so that little of the code is searched."""
    unless: str = ""
    """A regular expression that clears the whole file."""
    within: tuple[Kind, ...] = ()
    """Kinds of function that it must stand in; `$CTX` is then that function's own `ctx`."""
    own_runtime: bool = False
    """It is about functions that are sure to run in Convex's own runtime, not in Node."""
    imported: Mapping[str, str] = {}
    """Names that the file must import, with where from."""
    types_only: bool = False
    """Only the compiler minds: where it does not look, all is well."""
    free: tuple[str, ...] = ()
    """Globals of which the file must declare none itself."""
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
    config: Config
    seems: re.Pattern[str]
    variables: tuple[str, ...]
    """Those of the pattern whose texts the rule's words quote."""

    @classmethod
    def of(cls, name: str, rule: Rule) -> _Pattern:
        config = cast("Config", {"rule": rule.match})
        variables = tuple(part.partition("}")[0] for part in f"{rule.message}{rule.hint}".split("{")[1:])
        return cls(name, rule, config, re.compile(rule.seems), variables)

    def may_match(self, facts: Facts) -> bool:
        """Say whether a search can be of use, from what is quickly seen."""
        rule = self.rule
        if not all(_imports(facts, name, source) for name, source in rule.imported.items()):
            return False
        if rule.own_runtime and facts.use_node is not None:
            return False
        if not self._seems_to(facts):
            return False
        if rule.unless and re.search(rule.unless, facts.text):
            return False
        return not any(_declares(facts, name) for name in rule.free)

    def _seems_to(self, facts: Facts) -> bool:
        if not self.rule.within:
            return self.seems.search(facts.text) is not None
        functions = (each for each in facts.functions if each.kind in self.rule.within)
        return any(self.seems.search(facts.text, each.at, each.end) for each in functions)


@cache
def _patterns(*, clients: bool) -> tuple[_Pattern, ...]:
    return tuple(
        _Pattern.of(name, rule) for name, rule in rules().items() if rule.match is not None and rule.clients == clients
    )


def matches(facts: Facts, root: SgNode, *, clients: bool = False) -> Iterator[Finding]:
    """Yield what the patterns find in one file."""
    for pattern in _patterns(clients=clients):
        if not pattern.may_match(facts):
            continue
        for node in root.find_all(pattern.config):
            if _is_as_asked(pattern.rule, node) and _belongs(pattern.rule, facts, node):
                found = {name: node.get_match(name) for name in pattern.variables}
                yield Finding(pattern.name, start(node), {name: part.text() for name, part in found.items() if part})


def _imports(facts: Facts, name: str, source: str) -> bool:
    return any(found.names.get(name) == name and found.specifier == source for found in facts.imports)


def _declares(facts: Facts, name: str) -> bool:
    if any(name in found.names for found in facts.imports):
        return True
    own = rf"\b(?:const|let|var|function|class)\s+{name}\b|[{{,(]\s*{name}\s*[,)}}:=]"
    return re.search(own, facts.text) is not None


def _is_as_asked(rule: Rule, node: SgNode) -> bool:
    found = ((node.get_match(name), constraint) for name, constraint in rule.constraints.items())
    return all(part is None or constraint.holds(part) for part, constraint in found)


def _belongs(rule: Rule, facts: Facts, node: SgNode) -> bool:
    if not rule.within:
        return True
    function = enclosing(facts, start(node))
    if function is None or function.kind not in rule.within or (rule.own_runtime and not function.builder):
        return False
    ctx = node.get_match("CTX")
    return ctx is None or ctx.text() == function.ctx


def enclosing(facts: Facts, at: int) -> Function | None:
    """Return the function that *at* lies in."""
    return next((function for function in facts.functions if function.at <= at < function.end), None)
