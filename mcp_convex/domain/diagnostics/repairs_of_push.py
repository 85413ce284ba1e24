"""Repairs for what the deployment refuses and what stops the tools: the first that fits counts."""

from __future__ import annotations

from mcp_convex.domain.diagnostics.repair import Repair

_SAFE = " Delete documents only if the person asks for it."
_SCHEMA_MISMATCH = r"SchemaValidationFailed|SchemaEnforcementError"

_SCHEDULES = (
    "Correct the schedule in convex/crons.ts: `{ minutes: 5 }` for `interval`, `{ minuteUTC: 7 }` for `hourly`, "
    '`{ hourUTC: 3 }` for `daily`, with `dayOfWeek: "monday"` for `weekly` and `day: 1` for `monthly`; the five fields '
    'of `cron` are `"7 3 * * *"`.'
)

_MODULES = (
    Repair(
        r"InvalidModules",
        "Break the circle of imports: move the validators that both files need into a third file.",
        r"validator is undefined",
    ),
    Repair(
        r"InvalidModules|NodeActionsNotSupported",
        'Move the queries and mutations into a file without `"use node";` and keep only actions in this one.',
        r"Only actions can be defined in Node|use node",
    ),
    Repair(
        r"InvalidModules",
        "End convex/http.ts with `export default http;`, the result of `httpRouter()`.",
        r"http\.js[^\n]*(?:default|Router)",
    ),
    Repair(
        r"InvalidModules",
        "End convex/crons.ts with `export default crons;`, the result of `cronJobs()`.",
        r"crons?\.js[^\n]*(?:default|is not a)",
    ),
    Repair(
        r"InvalidModules",
        "Pass a reference, not the function: `internal.messages.clean`, with `internal` from `./_generated/api`.",
        r"is not a functionReference",
    ),
    Repair(r"InvalidModules", _SCHEDULES, r"convex/crons\.ts"),
    Repair(
        r"InvalidModules",
        "Correct the route in convex/http.ts: its `path` begins with `/`, its `method` is written in capitals, and no "
        "two routes have the same of both.",
        r"(?i)convex/http\.ts\n[^\0]*(?:path|method|route)",
    ),
    Repair(
        r"InvalidModules|No\w+DuringImport",
        "Move this into a handler: while modules load there is no database, network, randomness or clock.",
        r"at import time|during import|fetch\(\)|setTimeout",
    ),
    Repair(
        r"InvalidModules",
        "Move slow work out of the module's top level into a handler. If there is none, call `push` once more.",
        r"timed out",
    ),
    Repair(
        r"InvalidModules",
        "This needs a browser or Node, which functions do not have: use what Convex offers, or an action in a file "
        'that begins with `"use node";`.',
        r"\b(?:window|document|localStorage|require|__dirname|Buffer) is not defined",
    ),
    Repair(r"InvalidModules", "Put several functions into one file.", r"Too many function files"),
    Repair(
        r"InvalidModules",
        "If the module reads an env var here, give it a value: `request_env_var` for a secret, else `set_env_vars`. Or "
        "make in a handler what needs it.",
        r"(?i)api.?key|\bsecret|credential|authenticator|\benv(?:ironment)? var|process\.env"
        r"|\b(?:must be|is not) set\b",
    ),
    Repair(
        r"InvalidModules",
        r"`\g<package>` throws while it loads: choose a version that fits the other packages, or do without it.",
        r"\bnode_modules/(?:.*/node_modules/)?(?P<package>(?:@[^/\s]+/)?[^/\s]+)",
    ),
    Repair(r"InvalidModules", "The module throws while it loads: mend what stands outside of its functions."),
    Repair(
        r"InvalidConfig|BadConvexModuleIdentifier|InvalidModulePath",
        "Rename the file: only letters, digits, underscores and periods, so `my_messages.ts` for `my-messages.ts`.",
        r"alphanumeric|valid path|[Pp]ath component",
    ),
    Repair(
        r"InvalidConfig",
        "Correct convex/auth.config.ts, or give the env var that it reads a value that fits, with `set_env_vars`.",
        r"auth\.config",
    ),
    Repair(r"InvalidConfig", "Correct the file or the setting that the message names."),
    Repair(r"InvalidCron", _SCHEDULES),
    Repair(r"InvalidFunctionName", "Rename the export: letters, digits and underscores, starting with a letter."),
)

_SCHEMA = (
    Repair(
        r"MissingSchemaExportError|InvalidSchemaExport",
        "End convex/schema.ts with `export default defineSchema({…});`.",
    ),
    Repair(
        r"InvalidSchema",
        "Let convex/schema.ts have `export default defineSchema({…});`.",
        r"(?i)default export|not a schema|missing default",
    ),
    Repair(
        r"InvalidSchema|InvalidModules",
        'Each field is a validator: `v.string()`, `v.optional(v.boolean())`, `v.union(v.literal("a"), v.null())`. No '
        "`|` stands between two, and no TypeScript type in place of one.",
        r"must be (?:a )?validator|schema\.ts\n[^\0]*is not a function",
    ),
    Repair(
        r"IndexFieldsContainCreationTime", "Take `_creationTime` out of the index: every index ends with it anyway."
    ),
    Repair(r"IndexFieldsContainId", "Take `_id` out of the index: `ctx.db.get(id)` reads by id."),
    Repair(r"Index\w*NotUnique|\w+IndexFieldNotUnique", "Remove or rename one of the two indexes."),
    Repair(r"IndexNameReserved", "Rename the index, such as `by_author`."),
    Repair(
        r"InvalidTableName|TableNameReserved",
        "Rename the table: letters, digits and underscores, starting with a letter.",
    ),
    Repair(
        r"Invalid(?:Top|Schema)\w*|Schema(?!Val|Enf|Ov|Al)\w+|\w*Index\w*|Fields\w+|Vector\w+",
        "Correct convex/schema.ts.",
    ),
    Repair(
        _SCHEMA_MISMATCH,
        r"Push the field as `\g<field>: v.optional(…)` first, fill it in for stored documents with a mutation, then "
        f"make it required.{_SAFE}",
        r"has no field `(?P<field>[^`]+)`",
    ),
    Repair(
        _SCHEMA_MISMATCH,
        r"Push the schema with `\g<field>: v.optional(v.any())` first, clear the field in the stored documents with a "
        f"mutation, then take it out.{_SAFE}",
        r"has the field `(?P<field>[^`]+)`",
    ),
    Repair(
        _SCHEMA_MISMATCH,
        "Push the field as `v.union(…)` of the old and the new type first, convert the stored documents with a "
        f"mutation, then narrow it.{_SAFE}",
    ),
)

_SETTINGS = (
    Repair(
        r"MissingEnvironmentVariables|AuthConfigMissingEnvironmentVariable",
        r"Call `request_env_var` with `\g<name>` if it is secret, else `set_env_vars`. Never write its value into a "
        "file.",
        r"env var `(?P<name>\w+)`",
    ),
    Repair(r"InvalidEnvVarDeclaration", "Declare env vars with `v.string()`, `v.literal(…)` or a union of those."),
    Repair(
        r"EnvVar\w*Limit\w*|EnvironmentVariable\w*Too\w+", "Shorten env vars, or remove some with `unset_env_vars`."
    ),
    Repair(
        r"\w*EnvironmentVariable\w*|EnvVar\w+",
        "Give the env var a name and a value that are accepted, with `set_env_vars` or `request_env_var`.",
    ),
    Repair(
        r"InvalidAuthConfig|AuthConfig\w+", "Correct convex/auth.config.ts: it exports `{ providers: […] }` by default."
    ),
    Repair(
        r"InvalidConvexConfig|InvalidDefinition|TypecheckError|CyclicImport|Unmounted\w+|InvalidComponent\w+",
        "Correct convex/convex.config.ts: it exports `defineApp()` by default, and gives each component the arguments "
        "that it takes.",
    ),
    Repair(
        r"InvalidExternalModules", "Correct the version in package.json, or `node.externalPackages` in convex.json."
    ),
)

_DEPLOYMENT = (
    Repair(
        r"RaceDetected|ConcurrentPush|SchemaOverwritten|SchemaAlready\w+|http_409",
        "Something else changed the deployment during the push. Call `push` again.",
    ),
    Repair(
        r"ModulesTooLarge|http_413|push_too_large",
        "Import less: drop large packages and data, or load data at run time from file storage.",
    ),
    Repair(
        r"\w*Quota\w*|BackendIsNotRunning|Deployment(?:Disabled|Paused)|http_402",
        "Only the person can lift this, in the Convex dashboard.",
    ),
    Repair(
        r"OperationNotPermitted|Forbidden|http_403", "The credential does not allow this. Only the person can grant it."
    ),
    Repair(
        r"Bad\w*Key|\w*Token\w*|Unauth\w+|InvalidAdminKey|InvalidAuthHeader|SSORequired|http_401|not_signed_in",
        "The credential is not accepted any more. Only the person can give a new one.",
    ),
    Repair(r"ClientVersionUnsupported|cli_deprecated", "Raise `convex` in package.json to the newest version."),
    Repair(
        r"BadJsonBody",
        "The deployment is older than the `convex` package: pin the version in package.json that fits it.",
    ),
    Repair(
        r"DeploymentNotConfigured\w+|NodeVersionNotSupported",
        'The deployment cannot run `"use node"` actions: do without them, or tell the operator.',
    ),
    Repair(
        r"http_404|NotFound",
        "The deployment does not know this request: its address is wrong, or it is too old for the `convex` package.",
    ),
    Repair(
        r"(?:convex_)?unreachable|no_answer|answer_cut_off|http_(?:408|425|429|5\d\d)|InternalServerError"
        r"|\w*Overloaded|RateLimited|TooManyConcurrent\w+|\w+Unavailable|Busy",
        "Nothing is wrong with the code. Call `push` again in a minute.",
    ),
)

_GATE = (
    Repair(r"finish_unconfirmed", "Call `push` again: it does what is missing, and nothing where nothing is."),
    Repair(r"deadline", "Call `push` again; if it runs out of time once more, push less at once."),
    Repair(r"unexpected_answer", "Tell the operator: what answers at this address may be no Convex deployment."),
    Repair(r"unexpected_request|gate_failed", "Tell the operator, and name this code."),
    Repair(r"confirmation_needed", "Change the code so that nobody need be asked, or tell the person what would go."),
)
"""The gate's own codes."""

_PROJECT = (
    Repair(r"package_json_missing|convex_not_a_dependency", "Write package.json with `convex` in `dependencies`."),
    Repair(
        r"package_json_invalid|npm_EJSONPARSE",
        "Correct package.json: double quotes, versions as strings, no trailing comma, no comments.",
    ),
    Repair(r"convex_json_invalid", "Correct convex.json, or delete it: nothing in it is required."),
    Repair(r"unknown_setting", "Remove the setting from convex.json, or correct its name."),
    Repair(
        r"use_node_not_allowed",
        'Remove `"use node";`: this file runs in Convex\'s own runtime. What needs Node goes into actions elsewhere.',
    ),
    Repair(r"use_node_in_component", 'Remove `"use node";` from the component, or move the action into the app.'),
    Repair(r"use_node_missing", 'Move the file out of convex/actions/, or begin it with `"use node";`.'),
    Repair(r"reserved_folder", "Move the file out of `_deps`, which is reserved."),
    Repair(r"two_auth_configs", "Delete one of them."),
    Repair(r"https_file", "Rename it to http.ts: only that file's routes are served."),
    Repair(r"component_not_found|invalid_component_directory", "Correct the path of the component's convex.config.ts."),
    Repair(
        r"tsconfig_missing",
        'Write convex/tsconfig.json with `"strict": true`, `"module": "ESNext"`, `"moduleResolution": "Bundler"` and '
        '`"noEmit": true`.',
    ),
    Repair(r"external_package_invalid", "Take the package out of `node.externalPackages` in convex.json."),
)

_PROGRAMS = (
    Repair(
        r"compiler_missing",
        "Add `typescript` to `devDependencies` in package.json; leave `typescriptCompiler` out of convex.json.",
    ),
    Repair(r"compiler_ended", "Make the types simpler or the app smaller; if neither helps, tell the operator."),
    Repair(
        r"program_crashed",
        "A package is not installed: correct package.json, then call `push` again.",
        r"Cannot find (?:module|package)|missing the package|not installed",
    ),
    Repair(
        r"generated_elsewhere",
        "Nothing is written into other packages: have the person run `npx convex codegen` for it once.",
    ),
    Repair(
        r"compiler_failed|program_crashed|cli_crashed",
        "If the text names a file or package of the workspace, correct that; else tell the operator.",
    ),
    Repair(r"disk_full", "Tell the operator to make space on the disk of the server's data directory."),
    Repair(r"node_too_old", "Tell the operator to install Node 20 or newer."),
    Repair(r"cli_too_old", "Raise `convex` in package.json to 1.40 or newer."),
    Repair(r"file_changed", "A file changed while it was read. Call `push` again."),
    Repair(r"npm_(?:ETARGET|E404|ENOVERSIONS|EINVALID\w+)", "Correct the package's name or version in package.json."),
    Repair(r"npm_ERESOLVE|npm_EBADENGINE", "Choose versions in package.json that fit one another."),
    Repair(r"npm_EUSAGE", "Delete package-lock.json if there is one: it does not belong to this package.json."),
    Repair(
        r"npm_(?:ECONN|ETIMEDOUT|ENOTFOUND|EAI|ERR_SOCKET|E5|E429|EINTEGRITY)\w*",
        "The package registry did not answer. Call `push` again in a minute.",
    ),
)

REPAIRS: tuple[Repair, ...] = (
    *_MODULES,
    *_SCHEMA,
    *_SETTINGS,
    *_DEPLOYMENT,
    *_GATE,
    *_PROJECT,
    *_PROGRAMS,
)
