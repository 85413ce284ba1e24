"""Reads each file once, puts the files together, and says what is wrong as diagnostics."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mcp_convex.checks.facts import Facts, Finding
from mcp_convex.checks.inference import is_circular
from mcp_convex.checks.of_auth import check_auth
from mcp_convex.checks.of_env import check_env
from mcp_convex.checks.of_files import check_file, misplaced
from mcp_convex.checks.of_functions import check_functions, check_registered, looks_who_asks, unguarded
from mcp_convex.checks.of_imports import check_imports
from mcp_convex.checks.of_names import check_names
from mcp_convex.checks.of_schema import check_filters, check_schema
from mcp_convex.checks.of_text import check_text
from mcp_convex.checks.origins import origins
from mcp_convex.checks.project import Folder, Module, Typing
from mcp_convex.checks.reading import read
from mcp_convex.checks.rules import matches, rules
from mcp_convex.checks.syntax import hidden, parsed
from mcp_convex.domain.models import FileEntry, FilePath
from mcp_convex.domain.ports.checks import QueriedIndex
from mcp_convex.domain.pushes import Diagnostic, Severity

_CHECKS: tuple[Callable[[Folder, Module], Iterator[Finding]], ...] = (
    check_imports,
    check_schema,
    check_filters,
    check_functions,
    check_auth,
    check_env,
)
_LESS: Mapping[Severity, Severity] = {"error": "warning", "warning": "note", "note": "note"}
_RANK: Mapping[Severity, int] = {"error": 0, "warning": 1, "note": 2}
_LONGEST_SNIPPET = 200
_MOST_KEPT = 5_000
"""Files. Beyond that, what another workspace or an earlier state held is forgotten."""
_SILENCED = re.compile(r"eslint-disable-(?:next-)?line[^\n]*@convex-dev/")
_UNTYPED = re.compile(r"@ts-(?:expect-error|ignore)")
_LARGEST = 256 * 1024
"""Characters. Beyond that it is data, of which nothing is said; what is no code at all may take seconds to parse."""
_CONFIG = "/convex.config.ts"
_SCHEMA = re.compile(r"^export default defineSchema\(", re.MULTILINE)
_REGISTERED = re.compile(
    r"^export const \w+ = (?:query|mutation|action|internal(?:Query|Mutation|Action))\(", re.MULTILINE
)
_BY_TEXT = frozenset(
    {
        "direct_call",
        "env_in_auth",
        "env_needed",
        "env_unset",
        "misplaced",
        "not_imported",
        "unknown_function",
        "unknown_index",
        "unknown_table",
        "unknown_table_id",
        "webhook",
        "wrong_visibility",
    }
)
"""Rules whose places are found in the text, which is fast, and believed once the tree says that code stands there."""
_NOTHING = Facts("")


@dataclass(frozen=True, slots=True)
class Workspace:
    """What is to be checked."""

    functions: str
    """The folder of the functions."""
    code: Mapping[str, str]
    """Digests of the files with code, by path."""
    paths: frozenset[str]
    """All files."""
    packages: frozenset[str] = frozenset()
    """What package.json names."""
    env_vars: frozenset[str] | None = None
    """The names that are set; None where that is not known."""
    typing: Typing = "strict"

    def holds_functions(self, path: str) -> bool:
        """Say whether *path* lies in the folder of the functions."""
        return path.startswith(f"{self.functions}/")

    def key(self, path: str) -> tuple[str, str, bool]:
        """Return what decides what is read of a file: the same text says other things elsewhere."""
        return self.code[path], path[path.rfind(".") :], self.holds_functions(path)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A folder as it stood, and what was wrong with it."""

    folder: Folder
    found: Mapping[Module, tuple[Diagnostic, ...]]


@dataclass(slots=True)
class Checker:
    """Keeps what it has read, so that only changed files are read again."""

    _facts: dict[tuple[str, str, bool], Facts] = field(default_factory=dict[tuple[str, str, bool], Facts])
    _modules: dict[str, Module] = field(default_factory=dict[str, Module])
    _paths: frozenset[str] = frozenset()
    _resolved: dict[str, dict[tuple[str, str], str | None]] = field(
        default_factory=dict[str, dict[tuple[str, str], str | None]]
    )
    _checked: dict[str, _Checked] = field(default_factory=dict[str, "_Checked"])
    """By the path of the folder."""

    def missing(self, workspace: Workspace) -> list[str]:
        """Return the paths of the files that have to be learnt first."""
        return [path for path in workspace.code if workspace.key(path) not in self._facts]

    def learn(self, workspace: Workspace, contents: Mapping[str, bytes]) -> None:
        """Read files of *workspace*."""
        if len(self._facts) > _MOST_KEPT:
            keys = {workspace.key(path) for path in workspace.code}
            self._facts = {key: facts for key, facts in self._facts.items() if key in keys}
            self._modules.clear()
        for path, data in contents.items():
            text, suffix = data.decode("utf-8-sig", errors="replace"), posixpath.splitext(path)[1]
            learnt = _of_functions(text, suffix) if workspace.holds_functions(path) else _of_a_client(text, suffix)
            self._facts[workspace.key(path)] = learnt

    def check(self, workspace: Workspace) -> tuple[Diagnostic, ...]:
        """Return what is wrong with *workspace*, whose files have all been learnt; errors first."""
        if workspace.paths != self._paths:
            self._paths, self._resolved = workspace.paths, {}
        facts = {path: self._facts[workspace.key(path)] for path in workspace.code}
        clients = {path: each for path, each in facts.items() if not workspace.holds_functions(path)}
        found = [each for path, client in clients.items() for each in _of_client(workspace, path, client)]
        for folder in self._folders(workspace, facts):
            found += [each for told in self._found(folder).values() for each in told]
        return _sorted(found)

    def queried_indexes(self, workspace: Workspace) -> frozenset[QueriedIndex]:
        """Return the indexes that the functions of *workspace*, whose files have all been learnt, ask for by name."""
        return frozenset(
            QueriedIndex(use.table, use.index, FilePath(module.path))
            for module in self._app(workspace).pushed
            for use in module.facts.index_uses
        )

    def origins(self, workspace: Workspace, files: Sequence[FileEntry]) -> Mapping[str, str]:
        """Return what each module of *workspace*, whose *files* with code have all been learnt, is made of."""
        return origins(self._app(workspace), files)

    def _app(self, workspace: Workspace) -> Folder:
        """Return the folder of the app's own functions."""
        facts = {path: self._facts[workspace.key(path)] for path in workspace.code if workspace.holds_functions(path)}
        return next(folder for folder in self._folders(workspace, facts) if folder.path == workspace.functions)

    def _found(self, folder: Folder) -> Mapping[Module, tuple[Diagnostic, ...]]:
        """Return what is wrong with each file; nothing new can be where it and what it sees of others are as before."""
        before = self._checked.get(folder.path)
        known = before.found if before and folder.is_like(before.folder) else dict[Module, tuple[Diagnostic, ...]]()
        found = {
            module: known[module]
            if module in known
            else _diagnostics(module.path, module.facts, _findings(folder, module))
            for module in folder.modules.values()
        }
        self._checked[folder.path] = _Checked(folder, found)
        return found

    def _folders(self, workspace: Workspace, facts: Mapping[str, Facts]) -> Iterator[Folder]:
        """Yield the folder of the functions, and those of the components in it."""
        roots = {path.removesuffix(_CONFIG) for path in facts if path.endswith(_CONFIG)} | {workspace.functions}
        modules: dict[str, dict[str, Module]] = {root: {} for root in roots}
        alone = len(roots) == 1
        for path, each in facts.items():
            if workspace.holds_functions(path):
                root = workspace.functions if alone else next(above for above in _parents(path) if above in roots)
                modules[root][path] = self._module(root, path, each)
        for root, found in modules.items():
            resolved = self._resolved.setdefault(root, {})
            env_vars = workspace.env_vars if root == workspace.functions else None
            yield Folder(root, found, workspace.paths, workspace.packages, env_vars, workspace.typing, resolved)

    def _module(self, root: str, path: str, facts: Facts) -> Module:
        known = self._modules.get(path)
        if known is None or known.facts is not facts or not path.startswith(f"{root}/{known.name}."):
            stem, suffix = posixpath.splitext(path)
            known = self._modules[path] = Module(path, stem[len(root) + 1 :], suffix, facts)
        return known


def dependencies(package_json: bytes) -> frozenset[str]:
    """Return the packages that a package.json names; none where it cannot be read."""
    try:
        manifest = json.loads(package_json)
        return frozenset(name for kind in ("dependencies", "devDependencies") for name in manifest.get(kind, {}))
    except (ValueError, AttributeError, TypeError):
        return frozenset()


def _of_functions(text: str, suffix: str) -> Facts:
    if len(text) > _LARGEST:
        return Facts(text, broken=True)
    facts, root = read(text, suffix)
    if facts.broken:
        facts.findings = (*facts.findings, *check_text(text))
        return facts
    facts.findings += (*matches(facts, root), *check_names(facts), *check_registered(facts), *check_text(text))
    facts.unguarded, facts.looks_who_asks = unguarded(facts), looks_who_asks(facts)
    facts.circular = any(is_circular(facts, function) for function in facts.functions)
    return facts


def _of_a_client(text: str, suffix: str) -> Facts:
    """Return what is wrong with a file that uses functions; most use none, and are not even parsed."""
    if "convex/server" in text or "_generated/server" in text:
        found = _SCHEMA.search(text) or _REGISTERED.search(text)
        return Facts(text, backend=found and found.start())
    if "_generated/api" not in text or "internal" not in text:
        return _NOTHING
    facts, root = read(text, suffix)
    return Facts(text, findings=tuple(matches(facts, root, clients=True)))


def _of_client(workspace: Workspace, path: str, facts: Facts) -> tuple[Diagnostic, ...]:
    found = facts.findings
    if facts.backend is not None:
        found = (*found, *misplaced(workspace.functions, path, workspace.paths, facts.backend))
    return _diagnostics(path, facts, found)


def _parents(path: str) -> Iterator[str]:
    while path := posixpath.dirname(path):
        yield path


def _findings(folder: Folder, module: Module) -> Iterator[Finding]:
    yield from check_file(folder, module)
    if module.is_pushed:
        typed = folder.refuses_types_of(module)
        yield from (found for found in module.facts.findings if typed or not rules()[found.rule].types_only)
        for check in _CHECKS:
            yield from check(folder, module)


def _diagnostics(path: str, facts: Facts, findings: Iterable[Finding]) -> tuple[Diagnostic, ...]:
    """Return *findings* of one file as diagnostics, each rule once at a place."""
    told = {(each.rule, each.at): _diagnostic(path, facts, each) for each in findings}
    return tuple(diagnostic for diagnostic in told.values() if diagnostic is not None)


def _diagnostic(path: str, facts: Facts, finding: Finding) -> Diagnostic | None:
    key = path, finding.rule, finding.at, finding.doubtful, *finding.values.values()
    if key not in facts.told:
        facts.told[key] = _told(path, facts, finding)
    return facts.told[key]


def _told(path: str, facts: Facts, finding: Finding) -> Diagnostic | None:
    """Return *finding* as a diagnostic; None where no code stands, or where the file says that it is meant so."""
    if finding.rule in _BY_TEXT and _is_hidden(path, facts, finding.at):
        return None
    rule, text = rules()[finding.rule], facts.text
    begin = text.rfind("\n", 0, finding.at) + 1
    line = text[begin : text.find("\n", finding.at) if "\n" in text[finding.at :] else len(text)]
    above = text[text.rfind("\n", 0, max(begin - 1, 0)) + 1 : begin]
    untyped = _UNTYPED.search(above) is not None
    severity = _LESS[rule.severity] if finding.doubtful or untyped else rule.severity
    if untyped and rule.types_only:
        return None
    if severity != "error" and _SILENCED.search(above + line):
        return None
    return Diagnostic(
        file=path,
        line=text.count("\n", 0, finding.at) + 1,
        column=finding.at - begin + 1,
        severity=severity,
        code=finding.rule,
        message=_filled(rule.message, finding.values),
        snippet=None if finding.rule == "secret" else line.strip()[:_LONGEST_SNIPPET] or None,
        hint=_filled(rule.hint, finding.values),
        source="check",
    )


def _is_hidden(path: str, facts: Facts, at: int) -> bool:
    """Say whether *at* lies in a comment or in a string, where what looks like code is none."""
    if facts.hidden is None:
        facts.hidden = tuple(hidden(parsed(facts.text, posixpath.splitext(path)[1])))
    return any(begin < at < finish for begin, finish in facts.hidden)


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _sorted(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    return tuple(sorted(found, key=lambda each: (_RANK[each.severity], each.file or "", each.line or 0, each.code)))
