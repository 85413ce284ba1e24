"""The Convex CLI's own texts (1.48.0), npm's, and what Node prints when a program dies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import dropwhile, takewhile
from typing import NamedTuple

from mcp_convex.domain.diagnostics import server
from mcp_convex.domain.diagnostics.findings import Finding, Place
from mcp_convex.domain.diagnostics.schema import mismatch
from mcp_convex.domain.pushes import FailureClass

HEAD = re.compile(
    r"^(?:✖ |✔ |Error: Parsing \"|Error: Unable to read project|Unexpected Error: |error: unknown (?:option|command)"
    r"|Found no |Found [^\n]{1,400}\. HTTP action|No `ts|Your Node version|Warning: Unknown propert"
    r"|Retrying request \(|Fetch failed, is |Failed due to |Bundled file |npm (?:error|ERR!) code )",
    re.MULTILINE,
)
"""The first words of each text that stands for itself."""

_FETCH = re.compile(
    r"✖ Error fetching (?:[A-Z]+ )? ?\S+ (?P<status>\d{3}) (?P<reason>[^\n:]*)(?:: (?P<code>\w+): (?P<message>.*))?",
    re.DOTALL,
)
_ADDED = re.compile(r"\nAuthenticate with `npx convex dev`|: https?://\S+\s*\Z")
"""What the CLI adds to the deployment's words: advice for a person at a terminal, and the address."""

_ADVICE = re.compile(r"\n\n|[.] Make sure you're running")
"""Where the CLI goes on to say what a person could do."""

_ENV_VARS = re.compile(
    r"✖ Environment variables? (?P<names>[\w, ]+?) (?:is|are) (?P<how>declared as required|used in auth)"
)
_SCHEMA = re.compile(r'✖ Schema validation failed(?: in component "(?P<component>[^"]*)")?\.\n(?P<error>.*)', re.DOTALL)
_SENTENCES = (
    (r"✖ (You do not have permission [^\n]*)", "OperationNotPermitted"),
    (r"✖ ([^\n]*\bis no longer supported\b[^\n]*)", "ClientVersionUnsupported"),
    (r"✖ ((?:Hit an error while pushing:\s)?[^\n]*\bchanged during push)", "RaceDetected"),
)
"""Answers of the deployment that the CLI prints without their code."""

_CRASH = re.compile(r"^(?P<message>(?:[A-Z]\w*)?Error(?: \[\w+\])?: [^\n]*)\n {4}at ", re.MULTILINE)


class _Rule(NamedTuple):
    """
    A text that means one thing.

    A group of the pattern called `file`, or `module` below convex/, says where; else *file* does.
    *says* replaces what the CLI tells a person at a terminal.
    """

    pattern: str
    failure: FailureClass | None
    code: str
    file: str | None = None
    says: str | None = None


_RULES = (
    _Rule(r"✖ Schema was overwritten by another push", "conflict", "SchemaOverwritten"),
    _Rule(r"✖ TypeError: fetch failed", "transient", "unreachable", says="The deployment did not answer."),
    _Rule(r"✖ Cannot prompt for input in non-interactive", "auth", "not_signed_in"),
    _Rule(r"✖ (?:To confirm the push:|Canceling push)", "needs_consent", "confirmation_needed"),
    _Rule(r"✖ Unable to read your package", "source", "package_json_missing", "package.json"),
    _Rule(r"✖ Unable to parse package", "source", "package_json_invalid", "package.json"),
    _Rule(r"✖ (?:Invalid|Couldn't parse) \"[^\"\n]*package\.json\"", "source", "package_json_invalid", "package.json"),
    _Rule(r"✖ In order to [^\n]{0,200} add `convex` to", "source", "convex_not_a_dependency", "package.json"),
    _Rule(r"✖ (?:Missing )?\"[^\"\n]*package\.json\",? (?:which|misses)", "source", "external_package_invalid"),
    _Rule(r"✖ [^\n]*`convex\.json`", "source", "convex_json_invalid", "convex.json"),
    _Rule(r"(?:✖ )?Error: [^\n]*\bconvex\.json", "source", "convex_json_invalid", "convex.json"),
    _Rule(r"✖ \"use node\" directive is not allowed for (?P<module>\S+)\.\s", "source", "use_node_not_allowed"),
    _Rule(r"✖ \"use node\" directive is not supported in components", "source", "use_node_in_component"),
    _Rule(r"✖ (?P<module>actions/[^\n]{1,300}?) is in /actions", "source", "use_node_missing"),
    _Rule(r"✖ The path \"(?P<file>[^\"\n]+)\" is within the \"_deps\"", "source", "reserved_folder"),
    _Rule(r"✖ Found both [^\n]*auth\.config", "source", "two_auth_configs", "convex/auth.config.ts"),
    _Rule(r"✖ Invalid component (?:root )?directory", "source", "invalid_component_directory"),
    _Rule(r"✖ Didn't find [^\n]*\.config\.", "source", "component_not_found", "convex/convex.config.ts"),
    _Rule(
        r"Found no \S*tsconfig\.json",
        "source",
        "tsconfig_missing",
        "convex/tsconfig.json",
        says="There is no convex/tsconfig.json, so the types could not be checked.",
    ),
    _Rule(r"No `ts", "tooling", "compiler_missing", says="There is no TypeScript compiler in node_modules."),
    _Rule(
        r"✖ TypeScript typecheck timed out",
        "tooling",
        "compiler_ended",
        says="The TypeScript compiler was ended before it had finished: it ran out of memory or time.",
    ),
    _Rule(r"Your Node version", "tooling", "node_too_old"),
    _Rule(r"Unexpected Error: [^\n]*\bmkdir '[^'\n]*/_generated'", "tooling", "generated_elsewhere"),
    _Rule(
        r"Unexpected Error: [^\n]*\bENOSPC\b", "tooling", "disk_full", says="The disk on which the CLI works is full."
    ),
    _Rule(r"Unexpected Error: ", "tooling", "cli_crashed"),
    _Rule(r"error: unknown ", "tooling", "cli_too_old", says="This `convex` package does not know how it was called."),
    _Rule(r"Warning: Unknown propert", None, "unknown_setting", "convex.json"),
    _Rule(r"Found (?P<file>[^\n]{1,400}?)\. HTTP action", None, "https_file"),
    _Rule(r"Bundled file (?P<file>[^\n]{1,400}?) changed", "transient", "file_changed"),
)
_LAST_RESORTS = (
    _Rule(
        r"✖ \s*It looks like you are using Node APIs",
        "source",
        "node_builtin",
        says='A file without `"use node";` needs Node.',
    ),
    _Rule(
        r"✖ TypeScript typecheck via",
        "tooling",
        "compiler_failed",
        says="The TypeScript compiler failed without a diagnostic.",
    ),
    _Rule(r"Retrying request|Fetch failed, is ", "transient", "unreachable", says="The deployment did not answer."),
)
"""Say only that something else has said what is wrong: they count where that was not found."""

_NPM = re.compile(r"npm (?:error|ERR!) code (?P<code>\w+)")
_NPM_CLASSES: tuple[tuple[str, FailureClass], ...] = (
    (r"EJSONPARSE|ETARGET|E404|EINVALID\w+|ERESOLVE|EUSAGE|EBADENGINE|ENOVERSIONS", "source"),
    (r"ECONN\w+|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ERR_SOCKET_TIMEOUT|E5\d\d|E429|EINTEGRITY", "transient"),
)
_NPM_ENDS = ("at ", "A complete log of this run")
_NPM_MARGIN = re.compile(
    r"^npm (?:error|ERR!) ?(?:\d{3}\b|notarget|JSON\.parse|network|ERESOLVE|syscall.*|errno.*)?\s*"
)


def parse(block: str) -> Iterator[Finding]:
    """Yield what one text says, which begins with a `HEAD`; nothing where it is not known."""
    for read in (_fetch, _env_vars, _schema, _sentence, _npm, _rule):
        found = list(read(block))
        if found:
            yield from found
            return


def parse_last_resort(block: str) -> Iterator[Finding]:
    """Yield what is worth saying only where nothing else was found."""
    yield from _matching(_LAST_RESORTS, block)


def parse_crash(text: str) -> Iterator[Finding]:
    """Yield the exception that ended a Node program."""
    crash = _CRASH.search(text) if "\nNode.js v" in text else None
    if crash:
        yield Finding.of("tooling", "convex", "program_crashed", crash["message"])


def _fetch(block: str) -> Iterator[Finding]:
    if found := _FETCH.match(block):
        said = found["message"] or f"The deployment answered {found['status']} {found['reason']}."
        yield from server.findings(found["code"], _ADDED.sub("", said), int(found["status"]))


def _env_vars(block: str) -> Iterator[Finding]:
    if found := _ENV_VARS.match(block):
        auth = found["how"].startswith("used")
        code = "AuthConfigMissingEnvironmentVariable" if auth else "MissingEnvironmentVariables"
        for name in found["names"].split(", "):
            yield server.missing_env_var(code, name)


def _schema(block: str) -> Iterator[Finding]:
    if found := _SCHEMA.match(block):
        yield mismatch(found["error"], None, found["component"] or "")


def _sentence(block: str) -> Iterator[Finding]:
    for pattern, code in _SENTENCES:
        if found := re.match(pattern, block):
            yield from server.findings(code, found[1])
            return


def _npm(block: str) -> Iterator[Finding]:
    if found := _NPM.match(block):
        lines = (_NPM_MARGIN.sub("", line) for line in block.splitlines()[1:20])
        told = list(
            takewhile(lambda line: line and not line.startswith(_NPM_ENDS), dropwhile(lambda line: not line, lines))
        )
        code = found["code"]
        failure = _npm_failure(code)
        place = Place("package.json" if failure == "source" else None)
        yield Finding.of(failure, "convex", f"npm_{code}", "\n".join(told), place)


def _npm_failure(code: str) -> FailureClass:
    for pattern, failure in _NPM_CLASSES:
        if re.fullmatch(pattern, code):
            return failure
    return "tooling"


def _rule(block: str) -> Iterator[Finding]:
    yield from _matching(_RULES, block)


def _matching(rules: tuple[_Rule, ...], block: str) -> Iterator[Finding]:
    for rule in rules:
        if found := re.match(rule.pattern, block):
            named = found.groupdict()
            file = f"convex/{named['module']}" if named.get("module") else named.get("file", rule.file)
            message = rule.says or re.sub(r"^(?:✖ |Unexpected Error: )\s*", "", _ADVICE.split(block)[0])
            yield Finding.of(rule.failure, "convex", rule.code, message, Place(file))
            return
