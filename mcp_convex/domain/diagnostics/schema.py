"""What a deployment says when stored documents do not fit the new schema."""

from __future__ import annotations

import re

from mcp_convex.domain.diagnostics.findings import Finding, Place, bounded
from mcp_convex.domain.pushes import Diagnostic, FailureClass

CODE = "SchemaValidationFailed"

_DOCUMENT = re.compile(
    r'(?:Document with ID "(?P<id>[^"]{1,200})" |document )in table "(?P<table>[^"]{1,200})" '
    r"(?:because it )?does not match the schema: (?P<why>.*)",
    re.DOTALL,
)
_MISSING = re.compile(r"Object is missing the required field `(?P<field>[^`]+)`")
_EXTRA = re.compile(r"Object contains extra field `(?P<field>[^`]+)`")
_LITERAL = re.compile(r"`(?P<value>[^`]{1,500})` does not match literal validator `(?P<validator>[^`]{1,500})`\.")
_WRONG_TABLE = re.compile(r'Found ID "(?P<value>[^"]{1,200})" from .{0,300}?validator `(?P<validator>v\.id\([^`]+\))`')
_DETAIL = re.compile(r"(?:^|(?<=`\.))(?P<name>Path|Value|Object|Validator): (?P<text>.*)$", re.MULTILINE)


def from_schema_failure(error: str, table: str | None, component: str) -> tuple[FailureClass, tuple[Diagnostic, ...]]:
    """Say which document does not fit which validator. *component* is empty for the app itself."""
    return "data_mismatch", bounded([mismatch(error, table, component).diagnostic])


def mismatch(error: str, table: str | None, component: str, code: str = CODE) -> Finding:
    """Return the finding for one failed validation."""
    error = error.strip()[:20_000]
    document = _DOCUMENT.search(error)
    if document:
        subject = f"The document `{document['id']}`" if document["id"] else "A document that is being written"
        message = f"{subject} in table `{document['table']}` {_reason(document['why'])}"
    else:
        message = error or f"Documents of table `{table or 'unknown'}` do not fit the new schema."
    if component:
        message = f"In component `{component}`: {message}"
    # A component's schema is not the app's to change.
    place = Place(None if component else "convex/schema.ts")
    return Finding.of("data_mismatch", "convex", code, message, place)


def _reason(why: str) -> str:
    """Return the rest of the sentence that begins with the document."""
    details = {detail["name"]: detail["text"] for detail in _DETAIL.finditer(why)}
    path = details.get("Path", "").lstrip(".")
    within = f" in `{path}`" if path else ""
    if missing := _MISSING.search(why):
        return f"has no field `{missing['field']}`{within}, which the schema requires.{_quoted(details, 'Object')}"
    if extra := _EXTRA.search(why):
        return (
            f"has the field `{extra['field']}`{within}, which the schema does not declare.{_quoted(details, 'Object')}"
        )
    wrong = _LITERAL.search(why) or _WRONG_TABLE.search(why)
    if wrong or "Value" in details:
        value = wrong["value"] if wrong else details["Value"]
        validator = wrong["validator"] if wrong else details.get("Validator", "something else")
        return f"holds `{value}`{f' at `{path}`' if path else ''}, where the schema wants `{validator}`."
    return f"does not match the schema: {why}"


def _quoted(details: dict[str, str], name: str) -> str:
    return f" The document: {details[name]}" if name in details else ""
