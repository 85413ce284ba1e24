// The global names that app code meets: console, process.env, fetch and timers, each bound to the running call.

import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { createRequire } from "node:module";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { inspect } from "node:util";

import { currentFrame } from "./frames.mjs";

const GUARDED = ["fetch", "setTimeout", "setInterval", "setImmediate"];

function guard(name) {
  const frame = currentFrame();
  const label = name === "fetch" ? "fetch()" : name;
  if (frame?.kind === "import") throw new Error(`Can't use ${label} at import time.`);
  if (!frame?.transactional) return;
  const advice = "Please consider using an action. See https://docs.convex.dev/functions/actions for more details.";
  throw new Error(`Can't use ${label} in queries and mutations. ${advice}`);
}

function guardGlobals() {
  for (const name of GUARDED) {
    const original = globalThis[name];
    const guarded = (...args) => {
      guard(name);
      return original(...args);
    };
    globalThis[name] = Object.defineProperties(guarded, Object.getOwnPropertyDescriptors(original));
  }
}

function log(level) {
  return (...args) => currentFrame()?.logs.add(level, args);
}

function makeConsole() {
  const timers = new Map();
  const counts = new Map();
  const since = (label) => `${label}: ${Math.round(performance.now() - (timers.get(label) ?? performance.now()))}ms`;
  const write = Object.fromEntries(
    ["debug", "error", "info", "log", "warn"].map((name) => [name, log(name.toUpperCase())]),
  );
  return {
    ...write,
    trace: (...args) => write.log(...args, new Error("Trace").stack),
    dir: (value) => write.log(value),
    table: (value) => write.log(value),
    assert: (fine, ...args) => fine || write.error("Assertion failed", ...args),
    time: (label = "default") => timers.set(label, performance.now()),
    timeLog: (label = "default", ...args) => write.info(since(label), ...args),
    timeEnd: (label = "default") => write.info(since(label)) ?? timers.delete(label),
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      write.info(`${label}: ${counts.get(label)}`);
    },
    countReset: (label = "default") => counts.delete(label),
    group: write.log,
    groupCollapsed: write.log,
    groupEnd: () => {},
  };
}

/** `process.env` as one object for all code, that shows each call the env vars of its component. */
function environment() {
  const env = () => currentFrame()?.env ?? {};
  return new Proxy(
    {},
    {
      get: (_, name) => (name === inspect.custom ? undefined : env()[name]),
      has: (_, name) => name in env(),
      ownKeys: () => Reflect.ownKeys(env()),
      getOwnPropertyDescriptor: (_, name) => {
        const value = env()[name];
        return value === undefined ? undefined : { value, enumerable: true, configurable: true, writable: true };
      },
      set: (_, name, value) => {
        env()[name] = String(value);
        return true;
      },
      deleteProperty: (_, name) => delete env()[name],
    },
  );
}

/**
 * Give the modules for Node, below *root*, the names of a CommonJS module: the CLI bundles such packages into ES modules,
 * which lack them.
 */
export function installCommonJs(root) {
  const filename = join(root, "index.js");
  const module = { exports: {}, filename };
  const names = { require: createRequire(filename), module, exports: module.exports };
  Object.assign(globalThis, names, { __filename: filename, __dirname: root });
}

/** Put the app's globals in place, once, before any of its modules is imported. */
export function installGlobals(convex) {
  guardGlobals();
  globalThis.console = makeConsole();
  Object.defineProperty(process, "env", { value: environment(), configurable: true });
  globalThis.Convex = convex;
  globalThis.AsyncLocalStorage = AsyncLocalStorage;
  globalThis.AsyncResource = AsyncResource;
  globalThis.self = globalThis;
  process.exit = () => {
    throw new Error("process.exit is not available in Convex functions.");
  };
}
