// Stack traces as the app's author knows them: original files and lines, none of the engine's.

import { readFileSync } from "node:fs";
import { SourceMap } from "node:module";
import { fileURLToPath } from "node:url";

const FRAME = /^ {4}at (?:(.+?) \()?(file:\/\/.+?):(\d+):(\d+)\)?$/;
const MAX_FRAMES = 12;
const ENGINE = new URL(".", import.meta.url).href;
const maps = new Map();

function sourceMapOf(url) {
  if (!maps.has(url)) {
    let map = null;
    try {
      map = new SourceMap(JSON.parse(readFileSync(`${fileURLToPath(url)}.map`, "utf8")));
    } catch {
      // A module without a map keeps its own lines.
    }
    maps.set(url, map);
  }
  return maps.get(url);
}

/** Return `{file, line, column}` in the original source; lines and columns begin with 1. */
function original(url, line, column) {
  const found = sourceMapOf(url)?.findEntry(line - 1, column - 1);
  if (found?.originalSource === undefined) return { file: url.slice(url.lastIndexOf("/functions/") + 1), line, column };
  return { file: found.originalSource, line: found.originalLine + 1, column: found.originalColumn + 1 };
}

function frameLine(text) {
  const match = FRAME.exec(text);
  if (match === null || match[2].startsWith(ENGINE)) return null;
  const { file, line, column } = original(match[2].split("?")[0], Number(match[3]), Number(match[4]));
  return `    at ${match[1] ?? "<anonymous>"} (${file}:${line}:${column})`;
}

function frames(error) {
  const stack = typeof error?.stack === "string" ? error.stack.split("\n") : [];
  return stack
    .map(frameLine)
    .filter((line) => line !== null)
    .slice(0, MAX_FRAMES);
}

/** What Node adds when a module names `require` or `__dirname`: of no use to the author, and it tells where this is. */
const IN_ES_MODULE = / in ES module scope[^]*$/;

function headline(thrown) {
  if (!(thrown instanceof Error) && typeof thrown?.message !== "string") return String(thrown);
  const name = thrown.name ?? "Error";
  return thrown.message === "" ? name : `${name}: ${thrown.message.replace(IN_ES_MODULE, "")}`;
}

/** Word anything thrown by app code as Convex does: `Uncaught Error: …` and where. */
export function uncaught(thrown) {
  return [`Uncaught ${headline(thrown)}`, ...frames(thrown)].join("\n");
}
