"""Repairs for what the compiler and the bundler find in the sources: the first that fits counts."""

from __future__ import annotations

from mcp_convex.domain.diagnostics.repair import Repair

_SCHEMA = "convex/schema.ts"
_GENERATED = (
    "Leave `convex/_generated/` alone: `push` and `check_files` write it. It has only `api`, `server` and `dataModel`."
)
_FROM_BELOW = "From a file in a folder of `convex/` write `../_generated/…`, with one `../` for each folder."
_ALIAS = "Use a relative path: convex/tsconfig.json does not set this alias."
_PATH = "Write the file, or correct the path: case counts, and outside the project only packages can be imported."

_MODULES = {
    "convex/server": r"convex/(?:dist/esm/)?server",
    "convex/values": r"convex/(?:dist/esm/)?values",
    "convex/_generated/server": r"_generated/server",
    "convex/_generated/api": r"_generated/api",
    "convex/_generated/dataModel": r"_generated/dataModel",
}


def _is_in(module: str, *names: str) -> Repair:
    """Return the repair of an import that takes one of *names* from another module of Convex's than it is in."""
    others = "|".join(pattern for name, pattern in _MODULES.items() if name != module)
    lacks = r"[^\"']*[\"']+ (?:for import|has no exported member(?: named)?)"
    about = rf"(?:{others}){lacks} [\"'](?P<name>{'|'.join(names)})[\"']"
    return Repair(r"missing_export|TS2305|TS2614|TS2724", rf"`\g<name>` is in `{module}`: import it from there.", about)


_IMPORTS = (
    _is_in("convex/server", "defineSchema", "defineTable", "httpRouter", "cronJobs", r"pagination\w+Validator"),
    _is_in("convex/values", "v", "ConvexError", "Infer"),
    _is_in("convex/_generated/server", "(?:internal)?(?i:query|mutation|action)", "httpAction", r"\w+Ctx"),
    _is_in("convex/_generated/api", "api", "internal", "components"),
    _is_in("convex/_generated/dataModel", "Doc", "Id"),
    Repair(r"TS2307", _FROM_BELOW, r"\Aconvex/[^\n]*/[^\n]*\n[^\0]*'\./_generated/"),
    Repair(r"TS2307|TS2305|TS6053", _GENERATED, r"_generated"),
    Repair(
        r"TS2307|TS2882",
        "Remove the import: functions can import only code and JSON.",
        r"'\.[^']*\.(?!(?:[cm]?[jt]sx?|json)')[a-z]+'",
    ),
    Repair(r"TS2307|TS2882", _PATH, r"'\.[^']*'"),
    Repair(
        r"TS2307|TS2882",
        r"Add `\g<package>` to `dependencies` in package.json, or import something that is there.",
        r"(?:module|import of) '(?P<package>(?:@[^/']+/)?[^/']+)",
    ),
    Repair(
        r"TS7016",
        r"Add the types of `\g<package>` to `devDependencies` in package.json, or use a package that has types.",
        r"module '(?P<package>[^']+)'",
    ),
    Repair(r"TS2305|TS2614|TS2724", "Export that name from the module, or correct it."),
    Repair(r"TS1484|TS1485|TS1205", "Use `import type` or `export type` for types."),
)

_CONVEX = (
    Repair(
        r"TS2345|TS2344",
        rf"The schema has no table `\g<name>`: define it in {_SCHEMA}, or use one that the message lists.",
        r"'\"(?P<name>[^\"']+)\"'[^\0]*(?:\.(?:query|insert)\(\s*|\b(?:Doc|Id)<)\"(?P=name)\"",
    ),
    Repair(
        r"TS2345",
        rf'The table has no index `\g<name>`: add `.index("\g<name>", ["field"])` to it in {_SCHEMA}, or use one that '
        "the message lists.",
        r"'\"(?P<name>[^\"']+)\"'[^\0]*\.with(?:Search)?Index\(\s*\"(?P=name)\"",
    ),
    Repair(
        r"TS2345",
        "An index range names the index's own fields, in their order, starting with the first.",
        r"'\"[^\"']+\"'[^\0]*\.with(?:Search)?Index\(",
    ),
    Repair(
        r"TS2345|TS2322",
        r'Type the value as an id of that table: `v.id("\g<table>")` in `args`, `Id<"\g<table>">` elsewhere.',
        r"type 'Id<\"(?P<table>\w+)\">'",
    ),
    Repair(
        r"TS2345|TS2322|TS2769",
        'Type the value as an id of its table: `v.id("messages")` in `args`, `Id<"messages">` elsewhere. Text from '
        'outside becomes one with `ctx.db.normalizeId("messages", text)`, or null.',
        r"\bstring' is not assignable to (?:parameter of )?type 'Id<",
    ),
    Repair(
        r"TS2345|TS2769",
        "Pass a reference, not a name or the function itself: `internal.messages.clean`, with `internal` from "
        "`./_generated/api` (`api` for public functions).",
        r"to parameter of type '(?:\w*FunctionReference)",
    ),
    Repair(
        r"TS2322|TS2345",
        "Give the query `args: { paginationOpts: paginationOptsValidator }`, which is in `convex/server`, and hand it "
        "on: `.paginate(args.paginationOpts)`. For a fixed number of documents use `.take(n)`.",
        r"PaginationOptions",
    ),
    Repair(
        r"TS2322|TS2719",
        "`ctx.db.get`, `.first()` and `.unique()` may return null: write `returns: v.union(v.object({…}), v.null())` "
        "or throw first. `returns` also names the documents' own `_id: v.id(…)` and `_creationTime: v.number()`.",
        r"\| null[^\0]*is not assignable to type 'ValidatorTypeToReturnType<",
    ),
    Repair(
        r"TS2322|TS2719",
        "The handler has to return what `returns` promises: correct the value, or the validator.",
        r"is not assignable to type 'ValidatorTypeToReturnType<",
    ),
    Repair(
        r"TS2339",
        "A query only reads: make the function a `mutation`.",
        r"'(?:insert|patch|replace|delete)' does not exist on type 'GenericDatabaseReader",
    ),
    Repair(
        r"TS2339",
        "A query only reads: make the function a `mutation`, which can schedule others and run mutations, or an "
        "`action`, which can run actions.",
        r"'(?:runAction|runMutation|scheduler)' does not exist on type 'GenericQueryCtx",
    ),
    Repair(
        r"TS2339",
        "A mutation cannot run actions: schedule it, `await ctx.scheduler.runAfter(0, internal.jobs.run, {})`, or make "
        "the function an `action`.",
        r"'runAction' does not exist on type 'GenericMutationCtx",
    ),
    Repair(
        r"TS2339|TS2551",
        "`ctx.db` has `get(id)`, `query(table)`, `insert(table, fields)`, `patch(id, fields)` for some fields, "
        "`replace(id, document)` for all of them, and `delete(id)`.",
        r"' does not exist on type 'GenericDatabase(?:Reader|Writer)",
    ),
    Repair(
        r"TS2339|TS2551",
        'A query goes `.withIndex("by_…", (q) => q.eq("field", value))`, `.order("desc")`, then one of `.take(n)`, '
        "`.first()`, `.unique()`, `.paginate(options)` or `.collect()`: there is no `where`, `limit` or `orderBy`.",
        r"' does not exist on type '(?:Ordered)?Query(?:Initializer)?<",
    ),
    Repair(
        r"TS2339|TS2551",
        '`.filter` of a query takes `(q) => q.eq(q.field("name"), value)`. Better, add an index and use `.withIndex`, '
        "or read with `.take(n)` and filter the array.",
        r"' does not exist on type 'FilterBuilder<",
    ),
    Repair(
        r"TS2339|TS2551|TS2345",
        'An index range names its fields as text: `.withIndex("by_email", (q) => q.eq("email", value))`; `q.field` is '
        "for `.filter`.",
        r"' does not exist on type 'IndexRangeBuilder<",
    ),
    Repair(
        r"TS2554",
        '`.order` takes `"asc"` or `"desc"` alone: documents come in the order of the index that `.withIndex` names.',
        r"\.order\(",
    ),
    Repair(
        r"TS2554",
        "Validators take no options: a field that may be missing is `v.optional(v.string())`, one that may be null is "
        "`v.union(v.string(), v.null())`.",
        r"\bv\.(?:string|number|boolean|int64|float64|bytes|null|any)\([^)\s]",
    ),
    Repair(
        r"TS2339",
        "Actions have no database: move this into a query or mutation, and call it with `ctx.runQuery` or "
        "`ctx.runMutation`.",
        r"'db' does not exist on type 'GenericActionCtx",
    ),
    Repair(r"TS2551|TS2724|TS2561|TS2552", r"Write `\g<name>`.", r"Did you mean (?:to write )?'(?P<name>[^']+)'\?"),
    Repair(
        r"TS2339|TS2551",
        "A function's name is its file's path from `convex/` and its export: `api.messages.send` is `send` in "
        "convex/messages.ts. Public functions are under `api`, internal ones under `internal`. Correct the name, or "
        "export the function; the types follow with the next `push`.",
        r"'(?P<name>\w+)'[^\0]*\b(?:api|internal)(?:\.\w+)*\.(?P=name)\b",
    ),
    Repair(
        r"TS2339",
        'Begin the file with `/// <reference types="vite/client" />`, and add `vite` to `devDependencies`.',
        r"'(?:glob|env)' does not exist on type 'ImportMeta'",
    ),
    Repair(r"TS2339|TS2551", f"Use a field that the type has, or add the field to the table in {_SCHEMA}."),
    Repair(
        r"TS7022|TS7023|TS7024",
        "Functions that reach one another through `api` or `internal` need a written type: annotate the handler, "
        "`handler: async (ctx, args): Promise<string> => …`, and the variable that takes the result.",
    ),
    Repair(
        r"TS7006|TS7031|TS7005|TS7034",
        "Give it a type. `ctx` and `args` get theirs from `query`, `mutation` and `action` of `./_generated/server` "
        "and from the `args` validators: if they have none, mend that import first.",
    ),
    Repair(
        r"TS18047|TS18048|TS2531|TS2532",
        'Handle the case first, such as `if (doc === null) throw new Error("…")`: `ctx.db.get`, `.first()` and '
        "`.unique()` may find nothing.",
    ),
)

_TYPES = (
    Repair(
        r"TS2580|TS2591|TS2304",
        "Add `@types/node` to `devDependencies` in package.json. `process.env` itself works in every function.",
        r"name '(?:process|Buffer)'",
    ),
    Repair(
        r"TS2582|TS2593|TS2304",
        r"Import `\g<name>` from `vitest`, or leave tests out with `exclude` in convex/tsconfig.json.",
        r"name '(?P<name>describe|test|it|expect|beforeEach|afterEach|jest)'",
    ),
    Repair(r"TS2304|TS2552|TS2503", r"Import or declare `\g<name>`.", r"Cannot find \w+ '(?P<name>[^']+)'"),
    Repair(
        r"TS2353|TS2561",
        rf"Leave `\g<name>` out, or add it to the table in {_SCHEMA} or to the `args` validators.",
        r"'(?P<name>[^']+)' does not exist in type",
    ),
    Repair(
        r"TS2741|TS2739|TS2740|TS2345",
        "Give the missing fields, or make them `v.optional(…)` in the validator.",
        r"TS27|missing",
    ),
    Repair(r"TS2322|TS2345|TS2352|TS2344|TS2769", "Make the value and the declared type or validator agree."),
    Repair(r"TS2554|TS2555|TS2558", "Pass as many arguments as the function takes."),
    Repair(r"TS2578", "Delete the `@ts-expect-error`: what it covers is right."),
    Repair(r"TS2323|TS2393|TS2451|TS2300", "Keep one of the definitions and remove or rename the other."),
    Repair(r"TS2589", "Annotate the result's type, so that the compiler need not derive it."),
    Repair(r"TS2583|TS2585|TS2318", 'Set `"target": "ESNext"` and `"lib": ["ES2023", "dom"]` in convex/tsconfig.json.'),
)

_SYNTAX = (
    Repair(r"TS\d+", "Remove the Markdown fence: the file's content is the code alone.", r"\n```"),
    Repair(r"TS1\d{3}", "Correct the syntax. The file has to be whole: nothing may be left out with `...`."),
    Repair(r"TS5\d{3}|TS6\d{3}|TS18\d{3}|tsconfig\.json", "Correct convex/tsconfig.json."),
    Repair(r"syntax_error", "Write the whole file: nothing may be left out with `...`.", r"\"\.\.\.\""),
    Repair(r"syntax_error", "JSX needs a .tsx file, and functions seldom need JSX.", r"regular expression|\"<\"|JSX"),
    Repair(r"syntax_error", "Close what is open: the file ends too early.", r"end of file"),
    Repair(r"syntax_error", "Correct the syntax at this place."),
    Repair(r"invalid_json", "Correct the JSON: double quotes, no trailing comma, no comments."),
    Repair(r"assignment_to_constant", "Declare it with `let`, or do not assign it again."),
    Repair(r"await_outside_async", "Make the function around it `async`."),
    Repair(r"top_level_await", "Move the `await` into the handler."),
    Repair(r"duplicate_\w+", "Keep one of the definitions and remove or rename the other."),
)

_BUNDLER = (
    Repair(
        r"node_builtin",
        'A dependency needs Node. Import it only from a file that begins with `"use node";` and exports only actions.',
        r"\Anode_modules/",
    ),
    Repair(
        r"node_builtin",
        'Move the code that needs Node into a file of its own that begins with `"use node";` and exports only '
        "actions. Queries and mutations stay where they are.",
    ),
    Repair(r"unresolved_import", _ALIAS, r"resolve \"(?:@/|~|#|/)"),
    Repair(r"unresolved_import", _FROM_BELOW, r"\Aconvex/[^\n]*/[^\n]*\n[^\0]*resolve \"\./_generated/"),
    Repair(r"unresolved_import", _GENERATED, r"resolve \"[^\"]*_generated"),
    Repair(r"unresolved_import", _PATH, r"resolve \"\."),
    Repair(
        r"unresolved_import",
        "A file of functions imports `convex/react` or the like, which is for the app's clients: remove that import.",
        r"\Anode_modules/convex/dist/\w+/(?:react|nextjs|react-\w+)/",
    ),
    Repair(
        r"unresolved_import",
        r"The installed `\g<package>` has no such module: correct the import, or its version in package.json.",
        r"resolve \"(?P<package>(?:@[^/\"]+/)?[^/\"]+)[^\0]*(?:not exported by package|not found on the file system)",
    ),
    Repair(
        r"unresolved_import",
        r"Add `\g<package>` to `dependencies` in package.json; `push` installs it where npm does, else the person.",
        r"resolve \"(?P<package>(?:@[^/\"]+/)?[^/\"]+)",
    ),
    Repair(
        r"missing_export",
        r"The installed `\g<package>` has no such export: correct the import, or its version in package.json.",
        r"export in \"[^\"]*\bnode_modules/(?P<package>(?:@[^/\"]+/)?[^/\"]+)",
    ),
    Repair(r"missing_export", "Export that name from the module, or correct the import."),
    Repair(
        r"missing_loader",
        "Functions can import only code and JSON: put the content into a .ts file or into file storage.",
    ),
    Repair(r"different-path-case", "Spell the path as the file is spelled: elsewhere upper and lower case count."),
)

REPAIRS: tuple[Repair, ...] = (*_SYNTAX[:1], *_IMPORTS, *_CONVEX, *_TYPES, *_SYNTAX[1:], *_BUNDLER)
