// Node loads this before the Convex CLI, which is the same with it and without it, but for the time that it takes.
const fs = require("node:fs");
const { createRequire } = require("node:module");
const os = require("node:os");

// What the CLI starts (a bundler, a compiler) is written in Go, and ends before it pays to collect garbage; but a large
// project shall not take all memory.
process.env.GOGC ??= "400";
process.env.GOMEMLIMIT ??= String(Math.floor(os.totalmem() / 2));

const LIKE_GENERATED = `
/**
 * A comment.
 */
import type * as people from "../people.js";

declare const modules: Modules<{ people: typeof people }>;
export declare const api: Api<typeof modules, Reference<any, "public">>;
export type Id<Table extends Tables | keyof Model> = Generic<Table>;
`;

// It loads its formatter when it first formats what it generates: in the midst of a push, and not while it waits for one.
async function loadFormatter() {
  const ofTheCli = createRequire(fs.realpathSync(process.argv[1]));
  await ofTheCli("prettier").format(LIKE_GENERATED, { parser: "typescript" });
}

setImmediate(() => loadFormatter().catch(() => {}));
