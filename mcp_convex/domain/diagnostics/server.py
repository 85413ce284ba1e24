"""
What a deployment answers to the steps of a push, by its code, its text and its HTTP status.

The codes are those of the open-source backend in 2026-08; cloud-only ones as facts became known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from mcp_convex.domain.diagnostics.findings import Finding, Place, bounded
from mcp_convex.domain.diagnostics.schema import mismatch
from mcp_convex.domain.pushes import Diagnostic, FailureClass

_PREFIXES = re.compile(
    r"\A(?:\s*(?:Hit an error while (?:pushing|evaluating your [^\n:]{1,200}):"
    r"|(?:Loading the pushed modules encountered the following\s+error|Could not analyze the given module):))+\s*"
)
_FRAME = re.compile(
    r"^ {4}at (?:.{0,300}?\()?(?P<file>[^\s()]{1,300}):(?P<line>\d{1,8}):(?P<column>\d{1,8})\)?$", re.MULTILINE
)
_MODULE = re.compile(
    r"(?:Failed to analyze |defined in `|used in `|^)(?:convex/)?(?P<module>[\w./-]{1,200}?)\.js\b"
    r"|(?<=`)convex/(?P<named>[\w./-]{1,200}?)\.js(?=`)",
    re.MULTILINE,
)
_MISSING = ("MissingEnvironmentVariables", "AuthConfigMissingEnvironmentVariable")
_MISSING_ENV_VARS = re.compile(r"are not set: (?P<names>[\w, ]+)")
_AUTH_ENV_VAR = re.compile(r"Environment variable (?P<name>\w+)")

_BY_CODE: tuple[tuple[str, FailureClass], ...] = (
    (r"MissingEnvironmentVariables|AuthConfigMissingEnvironmentVariable|RequiredEnvironmentVariable", "env_missing"),
    (r"EnvVar\w*Limit\w*|EnvironmentVariable\w*Too\w+", "too_large"),
    (r"InvalidEnvVarDeclaration", "source"),
    (r"EnvVar\w+|\w*EnvironmentVariable\w*", "env_missing"),
    (r"RaceDetected|ConcurrentPush|SchemaAlready\w+|\w*Conflict", "conflict"),
    (r"SchemaEnforcementError", "data_mismatch"),
    (r"ProjectQuotaReached|\w*Quota\w*|BackendIsNotRunning|DeploymentDisabled|DeploymentPaused", "quota"),
    (r"Bad\w*Key|\w*Token(?:Invalid|Expired)|TokenExpired|InvalidAdminKey|InvalidAuthHeader", "auth"),
    (r"Unauth\w+|Forbidden|OperationNotPermitted|SSORequired", "auth"),
    (r"ModulesTooLarge|\w+TooLarge|\w+TooLong", "too_large"),
    (
        r"InternalServerError|\w*Overloaded|Busy|RateLimit\w*|TooMany(?:Requests|Concurrent\w+)|\w+Unavailable",
        "transient",
    ),
    (
        r"\w*Timeout\w*|ExpiredInQueue|\w+FullError|TooManyWrites|OptimisticConcurrency\w+|UpstreamConnectError",
        "transient",
    ),
    (r"BadJsonBody|ClientVersionUnsupported|DeploymentNotConfigured\w+|NodeVersionNotSupported|BadHeader", "tooling"),
    (r"Invalid\w+|Index\w+|Missing\w+|No\w+(?:During|In)\w+|Duplicate\w+|Schema\w+|Table\w+|AuthConfig\w+", "source"),
    (r"\w+NotUnique\w*|EmptyIndex|TooMany\w+|CyclicImport|TypecheckError|Unmounted\w+|BadConvexModule\w+", "source"),
    (r"NodeActionsNotSupported|NoDynamicImport|Bad\w+", "source"),
)
_BY_STATUS: dict[int, FailureClass] = {
    401: "auth",
    402: "quota",
    403: "auth",
    408: "transient",
    409: "conflict",
    413: "too_large",
    425: "transient",
    429: "transient",
}
_SERVER_ERROR = 500
_BY_TEXT: tuple[tuple[str, FailureClass], ...] = (
    (r"You do not have permission", "auth"),
    (r"exceeded (?:the free plan|your spending) limits|exceeded a configured usage limit|usage limit", "quota"),
    (r"(?:while this|this) deployment is (?:paused|suspended)|when the backend is not running", "quota"),
    (r"no longer supported|is deprecated\b", "tooling"),
    (r"exceeded the (?:un)?zipped maximum", "too_large"),
    (r"changed during push|overwritten by another push", "conflict"),
    (r"does not match the schema:", "data_mismatch"),
)
"""For codes that are not known. Never before the code: an app's own errors stand in the text, too."""

_FILES = (
    (r"evaluating your schema:", "convex/schema.ts"),
    (r"evaluating your auth config:|auth\.config\.js|auth config file", "convex/auth.config.ts"),
    (r"evaluating your component definition|convex\.config\.", "convex/convex.config.ts"),
)
"""Where an error lies that speaks of one of the files with a meaning."""

_FILES_BY_CODE = (
    (r"\w*Schema\w*|\w*Index\w*|Fields\w+|\w*Table\w*|TooManyTables|InvalidTop\w+", "convex/schema.ts"),
    (r"AuthConfig\w+|InvalidAuthConfig", "convex/auth.config.ts"),
    (r"InvalidCron\w*", "convex/crons.ts"),
    (r"InvalidEnvVarDeclaration|InvalidConvexConfig|InvalidDefinition|TypecheckError", "convex/convex.config.ts"),
    (r"InvalidExternalModules", "package.json"),
    (r"InvalidNodeVersion", "convex.json"),
)


def from_server(
    code: str | None, message: str, status: int | None = None
) -> tuple[FailureClass, tuple[Diagnostic, ...]]:
    """Classify the error that a deployment answered, and say where in the sources it lies."""
    found = list(findings(code, message, status))
    return found[0].failure or "tooling", bounded(finding.diagnostic for finding in found)


def findings(code: str | None, message: str, status: int | None = None) -> Iterator[Finding]:
    """Yield at least one finding, each of the same class."""
    message = message[:20_000]
    plain = _PREFIXES.sub("", message)
    failure = _failure(code, plain, status, pushed=plain != message)
    code = code or (f"http_{status}" if status else "unknown_answer")
    if failure == "data_mismatch":
        yield mismatch(plain, None, "", code)
    elif code in _MISSING and (missing := _missing_env_vars(plain)):
        for name in missing:
            yield missing_env_var(code, name)
    else:
        yield Finding.of(failure, "convex", code, _without_frames(plain), _place(code, message))


def missing_env_var(code: str, name: str) -> Finding:
    """Return the finding that the env var called *name* has no value."""
    if code == "AuthConfigMissingEnvironmentVariable":
        where, file = "convex/auth.config.ts reads it", "convex/auth.config.ts"
    else:
        where, file = "convex/convex.config.ts declares it as required", "convex/convex.config.ts"
    message = f"The env var `{name}` has no value, and {where}."
    return Finding.of("env_missing", "convex", code, message, Place(file))


def _failure(code: str | None, plain: str, status: int | None, *, pushed: bool) -> FailureClass:
    if plain.startswith("Too many function files"):
        return "too_large"
    by_status = _BY_STATUS.get(status or 0) or ("transient" if (status or 0) >= _SERVER_ERROR else None)
    for pattern, failure in _BY_CODE:
        if code and re.fullmatch(pattern, code):
            return by_status or failure if failure == "source" else failure
    for pattern, failure in _BY_TEXT:
        if re.search(pattern, plain):
            return failure
    # A rule that is not listed above, yet speaks of what was pushed, speaks of the code.
    return by_status or ("source" if pushed else "tooling")


def _missing_env_vars(message: str) -> list[str]:
    if several := _MISSING_ENV_VARS.search(message):
        return re.findall(r"\w+", several["names"])
    one = _AUTH_ENV_VAR.match(message)
    return [one["name"]] if one else []


def _place(code: str, message: str) -> Place:
    """Return the first line of the app's own code in the stack, else the module or file that the error speaks of."""
    frames = [frame for frame in _FRAME.finditer(message) if not frame["file"].startswith("node:")]
    for frame in frames:
        if not re.search(r"\bnode_modules/|\b_deps/", frame["file"]):
            return Place(frame["file"], int(frame["line"]), int(frame["column"]))
    if module := _MODULE.search(message):
        # The deployment knows modules by their bundled name.
        thrown_at = frames[0][0].strip() if frames else None
        return Place(f"convex/{module['module'] or module['named']}.ts", snippet=thrown_at)
    by_text = (file for pattern, file in _FILES if re.search(pattern, message))
    by_code = (file for pattern, file in _FILES_BY_CODE if re.fullmatch(pattern, code))
    return Place(next(chain(by_text, by_code), None))


def _without_frames(message: str) -> str:
    return re.sub(r"\n {4}at [^\n]*", "", f"\n{message}").strip()
