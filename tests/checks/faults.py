"""Faults such as models make, each sown wherever it fits into good sources."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

Files = dict[str, str]


class Fault(NamedTuple):
    """A change of a text, and the rules of which one has to see it."""

    name: str
    pattern: str
    replacement: str
    rules: frozenset[str]
    files: str = r"\.ts$"
    needs: str = ""
    """What the file has to hold for the change to be a fault."""


def fault(name, pattern, replacement, *rules, files=r"\.ts$", needs=""):
    return Fault(name, pattern, replacement, frozenset(rules), files, needs)


STATEMENT = r"(?m)^(\s+)((?:const \w+ = |return )?await ctx\.db\b)"
FAULTS = (
    fault("a missing await", r"(?m)^(\s+)await (ctx\.(?:db|scheduler)\.)", r"\1\2", "missing_await"),
    fault("a misspelt table to query", r'db\s*\.query\("(\w+)"', r'db.query("\1z"', "unknown_table"),
    fault("a misspelt table to insert", r'db\.insert\("(\w+)"', r'db.insert("\1z"', "unknown_table"),
    fault("a misspelt table of an id", r'v\.id\("([a-z]\w*)"\)', r'v.id("\1z")', "unknown_table_id"),
    fault("a misspelt index", r'withIndex\("(by_(?!creation|id")\w+)"', r'withIndex("\1_z"', "unknown_index"),
    fault("a wrong field of an index", r'\bq\s*\.(eq|gt|lt)\("(\w+)"', r'q.\1("\2z"', "index_order"),
    fault("a misspelt function", r"(?<![/\w])(internal|api)\.(\w+)\.(\w+)\b", r"\1.\2.\3z", "unknown_function"),
    fault(
        "a function looked for in public",
        r"\binternal\.(\w+)\.(\w+)\b",
        r"api.\1.\2",
        "wrong_visibility",
        "not_imported",
    ),
    fault("a lost bracket", r"\}\);\n(?=\n|\Z)", ");\n", "syntax"),
    fault("a lost comma", r"\}\n(\s+\w+:)", r"\n\1", "syntax"),
    fault("an unclosed string", r'"(\w+)"\)', r'"\1)', "syntax"),
    fault("a bare elision", STATEMENT, r"\1...\n\1\2", "syntax"),
    fault("an elision", r"(?m)^export const", "// ... existing code ...\nexport const", "elision"),
    fault("an elision at the end", r"\Z", "\n// rest of the file remains unchanged\n", "elision"),
    fault("an emptied file", r"(?s)\A.+\Z", "", "emptied_file", "import_unresolved"),
    fault("a Markdown fence", r"(?s)\A(.+)\Z", r"```ts\n\1```\n", "markdown_fence", "syntax"),
    fault(
        "a function in Node",
        r"\A",
        '"use node";\n',
        "node_function",
        "node_not_allowed",
        needs=r"= (?:internal)?(?:query|mutation|Query|Mutation|httpAction)\(",
    ),
    fault(
        "a builtin of Node",
        r'\A(?!"use node")',
        'import { readFileSync } from "node:fs";\nexport const text = () => readFileSync("a", "utf8");\n',
        "node_import",
    ),
    fault("a misspelt import", r'from "\./(?!_generated)(\w+)"', r'from "./\1z"', "import_unresolved"),
    fault("an import from outside", r'from "\./(?!_generated)(\w+)"', r'from "../../\1"', "import_outside"),
    fault(
        "a database in an action",
        r"await ctx\.run(?:Query|Mutation)\(",
        'await ctx.db.query("a").take(',
        "db_in_action",
        files=r"(?<!http)\.ts$",
        needs=r"(?:internalA|\ba)ction\(",
    ),
    fault(
        "a query that writes",
        r"\b(mutation|internalMutation)(\(\{(?:(?!\}\);)[\s\S])*?ctx\.db\.(?:insert|patch|delete)\()",
        r"query\2",
        "write_in_query",
        needs=r"import \{[^}]*\bquery\b",
    ),
    fault(
        "a fetch in a transaction",
        STATEMENT,
        r'\1await fetch("https://example.com");\n\1\2',
        "fetch_in_transaction",
        "syntax",
        needs=r"(?:query|mutation|Query|Mutation)\(\{|(?:Query|Mutation)Ctx",
    ),
    fault(
        "a timer in a transaction",
        STATEMENT,
        r"\1await new Promise((done) => setTimeout(done, 9));\n\1\2",
        "timer_in_transaction",
        "syntax",
        needs=r"(?:query|mutation|Query|Mutation)\(\{|(?:Query|Mutation)Ctx",
    ),
    fault("no such validator", r"\bv\.(string|number|boolean)\(\)", r"v.\1ean()", "odd_validator"),
    fault("no argument validator", r"(?m)^  args: \{.*\},\n", "", "no_validator", "no_args"),
    fault("an index twice", r'(\.index\("\w+", \[[^\]]*\]\))', r"\1\1", "index_twice", files=r"schema\.ts$"),
    fault("an index of nothing", r'(\.index\("\w+", \[)[^\]]*\]', r"\1]", "index_empty", files=r"schema\.ts$"),
    fault("an index of a kept name", r'\.index\("\w+"', '.index("by_id"', "index_name", files=r"schema\.ts$"),
    fault("an index of no field", r'(\.index\("\w+", \[)"', r'\1"z', "index_field", files=r"schema\.ts$"),
    fault("a table of a wrong name", r"(?m)^  (\w+): defineTable", r'  "\1-s": defineTable', "table_name"),
    fault("a secret", r"\Z", '\nexport const key = "sk_live_51Hq8rTzLmPwVn3KdJfYx9GcB";\n', "secret"),
)


def sown(files: Files) -> Iterator[tuple[str, Files, Fault]]:
    """Yield *files* with each fault at each place where it fits, with the path of the file that has it."""
    for path, text in files.items():
        for each in FAULTS:
            if not re.search(each.files, path) or not re.search(each.needs, text):
                continue
            for found in re.finditer(each.pattern, text):
                changed = text[: found.start()] + found.expand(each.replacement) + text[found.end() :]
                yield path, files | {path: changed}, each
        for name, rule in (("my-{}", "file_name"), ("my {}", "skipped_name")):
            folder, _, base = path.rpartition("/")
            if base.count(".") == 1 and base.endswith(".ts") and base != "schema.ts":
                moved = {other: content for other, content in files.items() if other != path}
                renamed = f"{folder}/{name.format(base)}"
                yield renamed, moved | {renamed: text}, fault(f"a file named {name}", "", "", rule)
