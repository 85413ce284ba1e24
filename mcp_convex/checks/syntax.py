"""The parser's trees, and the few shapes of TypeScript that the checks look for in them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ast_grep_py import Rule, SgNode, SgRoot

_WRAPPERS = frozenset({"as_expression", "satisfies_expression", "parenthesized_expression", "non_null_expression"})
_PLAIN = frozenset({".ts", ".mts", ".cts"})
_UNREAD: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bimport\(\s*[\"'][^\"'\n]*[\"']\s*\)"), "imported"),
    (re.compile(r"\bunique\b"), "uniquely"),
    (re.compile(r"\babstract(?=\??:)"), "abstraction"),
    (re.compile(r"\btype(?=\s*[,}])"), "types"),
    (re.compile(r"\bexport\s+type\s*\*"), "export *"),
    (re.compile(r"\x00"), " "),
)
"""What the grammars cannot read, and what they can in its place."""
_BRACKETS = (("(", ")"), ("[", "]"), ("{", "}"))
_ERROR: Rule = {"kind": "ERROR"}
_ERROR_OR_MISSING: Rule = {"any": [{"kind": "ERROR"}, {"regex": "^$"}]}
"""What the parser had to add is a token without text."""

_VALUE: Rule = {
    "any": [{"kind": "identifier"}, {"kind": "shorthand_property_identifier"}],
    "not": {
        "inside": {
            "any": [{"kind": kind} for kind in ("import_statement", "type_query", "nested_type_identifier")],
            "stopBy": "end",
        }
    },
}
_HIDDEN: Rule = {"any": [{"kind": kind} for kind in ("comment", "string_fragment", "regex", "jsx_text")]}


def parsed(text: str, suffix: str) -> SgNode:
    """Return the tree of *text*; TypeScript and JSX exclude one another in `.ts` files alone."""
    return SgRoot(text, "typescript" if suffix in _PLAIN else "tsx").root()


def first_error(root: SgNode, text: str, suffix: str) -> SgNode | None:
    """
    Return where *text* stops to be TypeScript, or None.

    The grammars know a little less than the language. An error that is gone once that little is
    written otherwise, or for the other grammar, was none.
    """
    found = _smallest_error(root, text)
    if found is None or _smallest_error(parsed(_simpler(text), suffix), text) is None:
        return None
    if suffix in _PLAIN:
        return found if _smallest_error(SgRoot(_simpler(text), "tsx").root(), text) else None
    return None if found.text().startswith("&") else found  # which is a text's own in JSX


def _simpler(text: str) -> str:
    """Return *text* without what the grammars cannot read."""
    for unread, readable in _UNREAD:
        text = unread.sub(readable, text)
    return text


def _smallest_error(root: SgNode, text: str) -> SgNode | None:
    balanced = all(text.count(opening) == text.count(closing) for opening, closing in _BRACKETS)
    balanced &= text.count('"') % 2 == 0 and text.count("`") % 2 == 0
    found = root.find_all(**(_ERROR if balanced else _ERROR_OR_MISSING))
    return min(found, key=lambda node: len(node.text()), default=None)


def values(root: SgNode) -> Iterator[str]:
    """Yield the names that stand for values: neither in types nor in imports."""
    return (node.text() for node in root.find_all(**_VALUE))


def hidden(root: SgNode) -> Iterator[tuple[int, int]]:
    """Yield where comments and the texts of strings begin, one character early, and end."""
    for node in root.find_all(**_HIDDEN):
        yield start(node) - 1, end(node)


def start(node: SgNode) -> int:
    """Return where *node* begins, in characters from the beginning."""
    return node.range().start.index


def end(node: SgNode) -> int:
    """Return where *node* ends."""
    return node.range().end.index


def bare(node: SgNode) -> SgNode:
    """Return *node* without casts and parentheses around it."""
    while node.kind() in _WRAPPERS:
        node = next(child for child in node.children() if child.is_named() and child.kind() != "comment")
    return node


def string_of(node: SgNode | None) -> str | None:
    """Return the text of a string that is written out, or None."""
    if node is None:
        return None
    node = bare(node)
    text = node.text()
    if node.kind() == "string" or (node.kind() == "template_string" and "${" not in text):
        return None if "\\" in text else text[1:-1]
    return None


def callee(node: SgNode) -> str:
    """Return what a call calls, `ctx.db.get`; empty if *node* is no call."""
    called = node.field("function") if node.kind() == "call_expression" else None
    return called.text() if called else ""


def arguments(call: SgNode) -> list[SgNode]:
    """Return a call's arguments."""
    found = call.field("arguments")
    return named(found) if found else []


def named(node: SgNode) -> list[SgNode]:
    """Return the parts of *node* that are no punctuation and no comment."""
    return [child for child in node.children() if child.is_named() and child.kind() != "comment"]


def properties(node: SgNode) -> Iterator[tuple[str, SgNode | None]]:
    """Yield an object's names with their values; no value for a spread, whose name is its text, and for a shorthand."""
    for child in named(node):
        match child.kind():
            case "pair":
                key, value = child.field("key"), child.field("value")
                yield ((string_of(key) or key.text()) if key else ""), value
            case "method_definition":
                name = child.field("name")
                yield (name.text() if name else ""), child
            case _:
                yield child.text(), None


def property_of(node: SgNode, name: str) -> SgNode | None:
    """Return the value of *node*'s property *name*; None also where *node* is no object."""
    return next((value for key, value in properties(node) if key == name), None) if node.kind() == "object" else None


def links(node: SgNode) -> Iterator[tuple[str, SgNode]]:
    """Yield the method calls of a chain `a.b().c()` with their names, the last call first, then what it begins with."""
    while True:
        node = bare(node)
        called = node.field("function") if node.kind() == "call_expression" else None
        if called is None or called.kind() != "member_expression":
            yield "", node
            return
        method, receiver = called.field("property"), called.field("object")
        if method is None or receiver is None:
            yield "", node
            return
        yield method.text(), node
        node = receiver
