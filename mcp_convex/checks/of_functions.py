"""What is wrong with how functions are registered, named, called and guarded."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_convex.checks.facts import Facts, Finding, Function, FunctionUse
from mcp_convex.checks.project import Folder, Module
from mcp_convex.checks.rules import enclosing

_GUARDED = re.compile(
    r"auth|identity|session|token|secret|password|permission|role|admin|member|owner|viewer|current|access|tenant|"
    r"api_?key|\b(?:require|assert|check|ensure|verify|validate|can|has|guard|get)[A-Z_]|\brate_?limit",
    re.IGNORECASE,
)
"""What code says that looks at who is asking, or hands that on."""
_WRITES = re.compile(r"ctx\.db\s*\.(?:insert|patch|replace|delete)\(")
_USES_AUTH = re.compile(r"ctx\.auth\b|getAuthUserId|getAuthSessionId")
_ROUTE = re.compile(
    r"\.route\(\s*\{[^{}]*?path(?:Prefix)?:\s*[\"'`]([^\"'`]*(?:webhook|hooks?/)[^\"'`]*)[\"'`]", re.IGNORECASE
)
_HANDLER = re.compile(r"handler:\s*(\w+)")
_VERIFIED = re.compile(
    r"verif|signature|secret|svix|hmac|crypto|timingsafe|constructevent|auth|token|api_?key|webhooks?\.|headers|"
    r"request\s*[,)](?!\s*=>)|req\s*[,)](?!\s*=>)",
    re.IGNORECASE,
)
"""What a handler says that looks at who is sending, or hands the request on to what may."""


def check_registered(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the functions of one file, whatever the others hold."""
    yield from _of_registration(facts)
    yield from _of_webhooks(facts)


def check_functions(folder: Folder, module: Module) -> Iterator[Finding]:
    """Yield what is wrong with the functions of *module* as they know others."""
    yield from _of_names(folder, module)
    yield from _of_calls(folder, module)
    if module.facts.unguarded and folder.has_guards:
        yield from (Finding("no_access_check", each.at, {"name": each.name}) for each in module.facts.unguarded)


def _of_registration(facts: Facts) -> Iterator[Finding]:
    for function in facts.functions:
        if not function.exported or not function.builder or function.kind == "http":
            continue
        if not function.is_object:
            yield Finding("old_syntax", function.at, {"name": function.name})
        if not function.has_args:
            rule = "no_validator" if function.takes_args else "no_args"
            yield Finding(rule, function.at, {"name": function.name}, doubtful=not function.public)


def _of_names(folder: Folder, module: Module) -> Iterator[Finding]:
    for use in module.facts.function_uses:
        if (found := _named(folder, use)) is None:
            continue
        other, name = found
        function = next(
            (each for each in other.facts.functions if each.name == name and each.exported and each.kind != "http"),
            None,
        )
        values = {"called": f"{use.root}.{'.'.join(use.path)}", "name": name, "file": other.path}
        if name not in other.facts.exports:
            yield Finding("unknown_function", use.at, values, doubtful=not folder.checks_types_of(module))
        elif function is not None and function.builder and function.public != (use.root == "api"):
            values |= {"right": "api" if function.public else "internal", "builder": function.builder}
            if folder.refuses_types_of(module):
                yield Finding("wrong_visibility", use.at, values, doubtful=not folder.keeps_types)


def _named(folder: Folder, use: FunctionUse) -> tuple[Module, str] | None:
    """Return the module that *use* names and the function there; None where either is not clear."""
    for length in range(len(use.path) - 1, 0, -1):
        module = folder.by_name.get("/".join(use.path[:length]))
        if module is not None and "/".join(use.path[: length + 1]) not in folder.by_name:
            facts = module.facts
            known = module.is_entry and not facts.broken and not facts.exports_all
            return (module, use.path[length]) if known and not folder.has_folder(use.path[: length + 1]) else None
    return None


def _of_calls(folder: Folder, module: Module) -> Iterator[Finding]:
    for use in module.facts.calls:
        function = folder.function(module, use.name)
        inside = enclosing(module.facts, use.at)
        if function is None or (inside is None and module.name != "crons"):
            continue
        if inside is not None and _rebinds(module, inside, use.name):
            continue
        values = {"name": use.name, "kind": function.kind}
        yield Finding("direct_call", use.at, values, doubtful=not folder.checks_types_of(module))


def _rebinds(module: Module, function: Function, name: str) -> bool:
    """Say whether *function* has something of its own that is called *name*."""
    body = module.facts.text[function.at : function.end]
    return re.search(rf"(?:const|let|var|function)\s+(?:\{{[^}}]*)?\b{re.escape(name)}\b", body) is not None


def _of_webhooks(facts: Facts) -> Iterator[Finding]:
    text = facts.text
    if "httpRouter" not in text:
        return
    for found in _ROUTE.finditer(text):
        stop = text.find(".route(", found.end())
        route = text[found.start() : stop if stop >= 0 else len(text)]
        if "httpAction(" in route:
            code: str | None = route
        else:
            named = _HANDLER.search(route)
            handler = next((each for each in facts.functions if named and each.name == named[1]), None)
            code = text[handler.at : handler.end] if handler else None
        if code is not None and "POST" in route and not _VERIFIED.search(code.replace("httpAction", "")):
            yield Finding("webhook", found.start(), {"path": found[1]})


def unguarded(facts: Facts) -> tuple[Function, ...]:
    """Return the public mutations that write without anything in them that looks at who asks."""
    public = (each for each in facts.functions if each.builder == "mutation" and each.exported)
    return tuple(
        each
        for each in public
        if _WRITES.search(facts.text, each.at, each.end) and not _GUARDED.search(facts.text, each.at, each.end)
    )


def looks_who_asks(facts: Facts) -> bool:
    """Say whether a file asks for the identity behind a call."""
    return _USES_AUTH.search(facts.text) is not None
