"""Reads the functions that a file registers, and the plain ones that are handed their `ctx`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ast_grep_py import SgNode

from mcp_convex.checks.facts import Function, Kind
from mcp_convex.checks.syntax import arguments, bare, callee, end, named, properties, start

_KINDS: Mapping[str, Kind] = {
    "query": "query",
    "internalQuery": "query",
    "mutation": "mutation",
    "internalMutation": "mutation",
    "action": "action",
    "internalAction": "action",
    "httpAction": "http",
    "QueryCtx": "query",
    "MutationCtx": "mutation",
    "ActionCtx": "action",
}
_BODIES = {"arrow_function", "function_expression", "method_definition", "function_declaration", "function"}


def read_function(name: str, node: SgNode, generated: Mapping[str, str], *, exported: bool = False) -> Function | None:
    """
    Return the function that *node* makes, or None if it makes none.

    Args:
        generated: What the file imports from `_generated/server`, by its local name.
    """
    node = bare(node)
    if node.kind() in _BODIES:
        return _plain(name, node, generated, exported=exported)
    builder = generated.get(callee(node), "")
    given = arguments(node)
    if builder not in _KINDS or len(given) != 1:
        return None
    definition = bare(given[0])
    is_object = definition.kind() == "object"
    parts = dict(properties(definition)) if is_object else {"handler": definition}
    ctx, takes_args = _taken(parts.get("handler"))
    return Function(
        name,
        start(node),
        _KINDS[builder],
        builder,
        end(node),
        ctx=ctx,
        # What is spread into the definition may bring the validator along.
        has_args=any(key == "args" or (value is None and "..." in key) for key, value in parts.items()),
        takes_args=takes_args,
        is_object=is_object,
        exported=exported,
    )


def read_inline(root: SgNode, generated: Mapping[str, str]) -> Iterator[Function]:
    """Yield the HTTP actions that are made where they are used, as in a route; they have no name."""
    for local in (local for local, original in generated.items() if original == "httpAction"):
        for node in root.find_all(pattern=f"{local}($HANDLER)"):
            if (function := read_function("", node, generated)) is not None:
                yield function


def _taken(handler: SgNode | None) -> tuple[str | None, bool]:
    """Return what a handler calls its `ctx`, and whether it takes arguments, where it is written out."""
    handler = None if handler is None else bare(handler)
    if handler is None or handler.kind() not in _BODIES:
        return None, False
    taken = _parameters(handler)
    return _name(taken[0]) if taken else None, len(taken) > 1 and taken[1].text() != "{}"


def _plain(name: str, node: SgNode, generated: Mapping[str, str], *, exported: bool) -> Function | None:
    """Return a function whose first parameter says of what kind of function it is the `ctx`."""
    taken = _parameters(node)
    annotation = taken[0].field("type") if taken else None
    kind = _KINDS.get(generated.get(annotation.text().lstrip(": "), "")) if annotation else None
    ctx = taken[0].field("pattern") if taken else None
    if kind is None or ctx is None or ctx.kind() != "identifier":
        return None
    return Function(name, start(node), kind, "", end(node), ctx=ctx.text(), exported=exported)


def _parameters(handler: SgNode) -> list[SgNode]:
    if (alone := handler.field("parameter")) is not None:
        return [alone]
    found = handler.field("parameters")
    return named(found) if found else []


def _name(parameter: SgNode) -> str | None:
    """Return a parameter's name, unless it is taken apart or of a type that its function does not give it."""
    if parameter.kind() == "identifier":
        return parameter.text()
    pattern = parameter.field("pattern")
    if pattern is None or pattern.kind() != "identifier" or parameter.field("type") is not None:
        return None
    return pattern.text()
