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
IN_TRANSACTION = r"(?:query|mutation|Query|Mutation)\(\{|(?:Query|Mutation)Ctx"
HANDLER = r"( = {}\(\{{\n(?:(?!\n\}}\);)[\s\S])*?handler: async \(ctx[^()]*\)[^()=]*=> \{{\n)"
IN_QUERY = HANDLER.format("(?:internalQ|q)uery")
IN_MUTATION = HANDLER.format("(?:internalM|m)utation")
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
        needs=r"(?:\ba|[lp]A)ction\(",
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
        needs=IN_TRANSACTION,
    ),
    fault(
        "a timer in a transaction",
        STATEMENT,
        r"\1await new Promise((done) => setTimeout(done, 9));\n\1\2",
        "timer_in_transaction",
        "syntax",
        needs=IN_TRANSACTION,
    ),
    fault("no such validator", r"\bv\.(string|number|boolean)\(\)", r"v.\1ean()", "odd_validator"),
    fault("no argument validator", r"(?m)^  args: \{.*\},\n", "", "no_validator", "no_args"),
    fault("an index twice", r'(\.index\("\w+", \[[^\]]*\]\))', r"\1\1", "index_twice", files=r"schema\.ts$"),
    fault("an index of nothing", r'(\.index\("\w+", \[)[^\]]*\]', r"\1]", "index_empty", files=r"schema\.ts$"),
    fault("an index of a kept name", r'\.index\("\w+"', '.index("by_id"', "index_name", files=r"schema\.ts$"),
    fault("an index of no field", r'(\.index\("\w+", \[)"', r'\1"z', "index_field", files=r"schema\.ts$"),
    fault("an index by its end", r'(\.index\("\w+", \[[^\]]*)\]', r'\1, "_creationTime"]', "index_refused_field"),
    fault("a table of a wrong name", r"(?m)^  (\w+): defineTable", r'  "\1-s": defineTable', "table_name"),
    fault("a table twice", r"(?m)^  (\w+): defineTable", r"  \1: defineTable({}),\n  \1: defineTable", "table_twice"),
    fault("a field of a kept name", r"defineTable\(\{", "defineTable({ _kind: v.string(),", "field_name"),
    fault(
        "an index in another's place",
        r'(\.index\("(\w+)", \["(\w+)"[^\]]*\]\))',
        r'\1.index("z", ["\3"])',
        "index_redundant",
        "index_same",
    ),
    fault(
        "no such validator, but of other libraries",
        r"(?m)^(    \w+: )v\.\w+\(\),$",
        r"\1v.date(),",
        "unknown_validator",
    ),
    fault("a validator of anything", r"\bv\.(?:string|number|boolean)\(\)", "v.any()", "any_validator"),
    fault("a name twice", r"(?m)^export const (\w+) = ", r"const \1 = 0;\nexport const \1 = ", "declared_twice"),
    fault("a lost import", r'import \{ v \} from "convex/values";\n', "", "not_imported", needs=r"\bv\.\w+\("),
    fault("a look at the clock", IN_QUERY, r"\1    const now = Date.now();\n", "clock_in_query"),
    fault("a draw in a query", IN_QUERY, r"\1    const drawn = Math.random();\n", "random_in_query"),
    fault(
        "an answer without a type",
        IN_MUTATION,
        r"\1    return await ctx.runQuery(internal.a.b, {});\n",
        "circular_type",
        needs=r"import \{[^}]*\binternal\b",
    ),
    fault("bytes as in Node", IN_MUTATION, r'\1    const bytes = Buffer.from("a");\n', "node_global"),
    fault(
        "bytes as in Node, in a route",
        r"(handler: httpAction\(async \([^()]*\) => \{\n)",
        r'\1    const bytes = Buffer.from("a");\n',
        "node_global",
    ),
    fault(
        "bytes as in Node, at the push",
        r'\A(?!"use node")[\s\S]+\Z',
        r'\g<0>\nexport const bytes = Buffer.from("a");\n',
        "node_global_on_load",
    ),
    fault(
        "a query that schedules",
        IN_QUERY,
        r"\1    await ctx.scheduler.runAfter(0, internal.a.b, {});\n",
        "unavailable_in_query",
    ),
    fault(
        "an action in a mutation", IN_MUTATION, r"\1    await ctx.runAction(internal.a.b, {});\n", "action_in_mutation"
    ),
    fault(
        "reads in a loop",
        STATEMENT,
        r"\1for (const one of [1, 2]) await ctx.db.get(one);\n\1\2",
        "read_in_loop",
        "syntax",
        needs=IN_TRANSACTION,
    ),
    fault("a whole table", r'\.query\("(\w+)"\)(?=[\s.])', r'.query("\1").collect()', "collect", needs=IN_TRANSACTION),
    fault("a filter", r'\.query\("(\w+)"\)(?=[\s.])', r'.query("\1").filter((q) => q.neq(q.field("a"), 1))', "filter"),
    fault(
        "a filter for what an index finds",
        r'\.withIndex\("by_\w+", \(q\) => q\.eq\("(\w+)", ([\w.]+)\)\)',
        r'.filter((q) => q.eq(q.field("\1"), \2))',
        "filter_for_index",
    ),
    fault(
        "a function called like any other",
        r"(?m)^export const (\w+) = (?:internalMutation|mutation)\([\s\S]*\Z",
        r"\g<0>\nexport const again = mutation({ args: {}, handler: async (ctx) => await \1(ctx, {}) });\n",
        "direct_call",
        needs=r"import \{[^}]*\bmutation\b",
    ),
    fault(
        "the syntax of old",
        r"= (\w+)\(\{\n  args: \{\},\n(?:  returns.*\n)?  handler: (async \(ctx\)(?:(?!\n\}\))[\s\S])*?\n  \}),\n\}\);",
        r"= \1(\2);",
        "old_syntax",
    ),
    fault(
        "a mutation for everybody",
        r"\Z",
        '\nexport const add = mutation({ args: {}, handler: async (ctx) => { await ctx.db.insert("users", {}); } });\n',
        "no_access_check",
        needs=r"import \{[^}]*\bmutation\b[\s\S]*(?:getAuthUserId|ctx\.auth\.)",
    ),
    fault(
        "a webhook that believes everybody",
        r"(?m)^export default http;",
        """http.route({
  path: "/hooks/paid",
  method: "POST",
  handler: httpAction(async (ctx, request) => {
    await ctx.runMutation(internal.a.b, await request.json());
    return new Response();
  }),
});
export default http;""",
        "webhook",
    ),
    fault("a route of a wrong path", r'path: "/', 'path: "', "route_path", needs="httpRouter"),
    fault(
        "a cron at the full hour",
        r'crons\.interval\(\s*("[^"]*"),\s*\{[^}]*\}',
        r"crons.daily(\1, { hourUTC: 3, minuteUTC: 0 }",
        "cron_on_the_hour",
    ),
    fault(
        "an env var that is not set",
        r"\Z",
        "\nexport const key = process.env.NOT_SET!;\n",
        "env_unset",
        files=r"(?<!schema)(?<!config)\.ts$",
    ),
    fault(
        "an env var of the auth config that is not set",
        r"(?m)^([^/\n]*process\.env\.)(\w+)",
        r"\1NOT_\2",
        "env_in_auth",
        files=r"auth\.config\.ts$",
    ),
    fault(
        "a file without a module",
        r"(?s)\A.+\Z",
        "const left = 1;\n",
        "skipped_file",
        "import_unresolved",
        files=r"(?<!schema)(?<!config)\.ts$",
    ),
    fault("a promise in an answer", r"await Promise\.all\((\w+\.map\(async)", r"[\1", "promises_returned", "syntax"),
    fault("answers with promises", IN_QUERY, r"\1  return [1].map(async () => 1);\n", "promises_returned"),
    fault("a method in small letters", r'method: "(GET|POST)"', 'method: "get"', "route_method", files=r"/http\.ts$"),
    fault(
        "a route with a parameter",
        r"(httpRouter\(\);\n)",
        r'\1http.route({ path: "/a/:id", method: "GET", handler: a });\n',
        "route_parameter",
    ),
    fault(
        "a cron of four fields", r"(cronJobs\(\);\n)", r'\1crons.cron("a", "7 3 * *", internal.a.b);\n', "cron_schedule"
    ),
    fault("an hour without a zone", r"hourUTC:", "hour:", "cron_schedule"),
    fault(
        "a provider without its audience",
        r'(?m)^([^/\n]*)applicationID: "[^"]*",?',
        r"\1",
        "auth_provider",
        files=r"auth\.config\.ts$",
    ),
    fault("what is generated, looked for here", r'from "\.\./_generated/', 'from "./_generated/', "generated_path"),
    fault("what is generated, looked for above", r'from "\./_generated/', 'from "../_generated/', "generated_path"),
    fault(
        "a name from a neighbour",
        r'(\}) from "\./_generated/server"',
        r', api \1 from "./_generated/server"',
        "wrong_module",
    ),
    fault("a hook in a function", r"\A", 'import { useQuery } from "convex/react";\n', "client_import"),
    fault(
        "a null beside a validator", r"(?<=: )(v\.(?:string|number)\(\))(?=,)", r"\1 | v.null()", "validator_operator"
    ),
    fault("no default export", r"(?m)^export default (?=\w+;|define)", "export const lost = ", "no_default_export"),
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
        if path.endswith(".ts") and path.count(".") == 1 and not path.endswith("/schema.ts"):
            yield from _misplaced(files, path)
            yield from _added(files, path)


def _misplaced(files: Files, path: str) -> Iterator[tuple[str, Files, Fault]]:
    """Yield *files* with the one at *path* elsewhere."""
    folder, _, base = path.rpartition("/")
    others = {other: text for other, text in files.items() if other != path}
    places = [("my-{}", "file_name"), ("my {}", "skipped_name")]
    if folder == "convex":
        places += [("_deps/{}", "reserved_folder")]
        places += [("actions/{}", "actions_folder")] if '"use node"' not in files[path] else []
    if base == "http.ts":
        places.append(("https.ts", "https_file"))
    for place, rule in places:
        moved = f"{folder}/{place.format(base)}"
        yield moved, others | {moved: files[path]}, fault(f"a file at {place}", "", "", rule)
    if folder == "convex" and re.search(r"(?m)^export const \w+ = (?:query|mutation)\(", files[path]):
        beside = f"functions/{base}"
        yield beside, others | {beside: files[path]}, fault("a file beside the folder", "", "", "misplaced")


def _added(files: Files, path: str) -> Iterator[tuple[str, Files, Fault]]:
    """Yield *files* with another beside the one at *path*, with which it does not get along."""
    text, name = files[path], path.removesuffix(".ts")
    here = name.rpartition("/")[2]
    exported = re.search(
        r"(?m)^export const (\w+) = (?:internal)?(?:query|mutation|action|Query|Mutation|Action)\(", text
    )
    script = f"{name}.js"
    yield path, files | {script: "export const a = 1;\n"}, fault("two files for one module", "", "", "same_module")
    if '"use node"' not in text:
        node = '"use node";\nimport { readFileSync } from "node:fs";\nexport const load = () => readFileSync("a");\n'
        uses = f'import {{ load }} from "./inNode";\nexport const loaded = () => load();\n{text}'
        beside = f"{path.rpartition('/')[0]}/inNode.ts"
        yield path, files | {beside: node, path: uses}, fault("an import of Node's", "", "", "node_file_import")
    if exported:
        below = files | {f"{name}/{exported[1]}.ts": "export const a = 1;\n"}
        yield path, below, fault("a module in its place", "", "", "function_and_module")
        app = 'import { internal } from "../convex/_generated/api";\n'
        app += f"export const App = () => useQuery(internal.{here}.{exported[1]});\n"
        yield "src/App.tsx", files | {"src/App.tsx": app}, fault("a client's own way in", "", "", "internal_in_client")
    if "convex/schema.ts" in files and path.count("/") == 1:
        back = f'import schema from "./schema";\nexport const all = () => schema;\n{text}'
        schema = f'import {{ all }} from "./{here}";\nexport const used = [all()];\n{files["convex/schema.ts"]}'
        cycle = files | {path: back, "convex/schema.ts": schema}
        yield path, cycle, fault("a way back to the schema", "", "", "schema_cycle")
