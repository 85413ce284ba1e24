"""Choosing the smallest repair for what is wrong; the repairs themselves are data, next door."""

from __future__ import annotations

import re

from mcp_convex.domain.diagnostics.repairs_of_push import REPAIRS as OF_PUSH
from mcp_convex.domain.diagnostics.repairs_of_sources import REPAIRS as OF_SOURCES


def hint_for(code: str, message: str, *, file: str | None = None, snippet: str | None = None) -> str | None:
    """Return the smallest repair of what *code* and *message* say is wrong, or None where none is known."""
    text = f"{file or ''}\n{message}\n{snippet or ''}"
    for repair in (*OF_SOURCES, *OF_PUSH):
        if re.fullmatch(repair.codes, code) and (found := re.search(repair.about, text)):
            return found.expand(repair.text)
    return None
