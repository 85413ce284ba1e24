// Runs Convex's own ESLint plugin over the files that standard input names: { rules: [...], files: [...] }.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(process.argv[2] + "/"));
const { Linter } = require("eslint");
const plugin = require("@convex-dev/eslint-plugin");
const parser = require("@typescript-eslint/parser");

const { rules, files } = JSON.parse(readFileSync(0, "utf8"));
const linter = new Linter({ configType: "flat", cwd: "/" });
const config = {
  files: ["**/*.ts"],
  plugins: { "@convex-dev": plugin },
  languageOptions: { parser },
  rules: Object.fromEntries(rules.map((rule) => [`@convex-dev/${rule}`, "error"])),
};
const found = files.flatMap((file) =>
  linter
    .verify(readFileSync(file, "utf8"), [config], { filename: file })
    .map(({ ruleId, line, message }) => ({ file, line, rule: ruleId?.replace("@convex-dev/", "") ?? message })),
);
console.log(JSON.stringify(found));
