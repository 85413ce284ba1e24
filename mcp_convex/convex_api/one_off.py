"""What a one-off query looks like on the wire: always a module whose default export is a query."""

from __future__ import annotations

import re
from textwrap import indent

_PREAMBLE = 'import { query, internalQuery } from "convex:/_system/repl/wrappers.js";'
_WRAPPERS = "convex:/_system/repl/wrappers.js"
_GENERATED_IMPORT = re.compile(
    r"""^\s*import\s[^;'"]*from\s*['"][./\w]*_generated/server(?:\.js)?['"];?[ \t]*$""", re.MULTILINE
)
_STATEMENT = re.compile(r"(?:const|let|var|if|for|while|do|switch|try|throw|return|function|class)\b|[{/]")


def one_off_module(source: str) -> str:
    """
    Return *source* as a module that `/api/run_test_function` takes.

    It may be such a module already, one that imports from `_generated/server` as a file
    of the app would, an expression (`await ctx.db.query("messages").take(5)`), or
    statements that return.
    """
    text = source.strip()
    if re.search(r"\bexport\s+default\b", text):
        module = _GENERATED_IMPORT.sub("", text)
        return module if _WRAPPERS in module else f"{_PREAMBLE}\n{module}"
    body = text if _is_statements(text) else f"return ({text.removesuffix(';')});"
    return f"{_PREAMBLE}\nexport default query({{\n  handler: async (ctx) => {{\n{indent(body, '    ')}\n  }},\n}});\n"


def _is_statements(text: str) -> bool:
    return bool(_STATEMENT.match(text)) or re.search(r"^\s*return\b", text, re.MULTILINE) is not None
