// What is running: each call's frame, found from anywhere in app code by the async context it runs in.

import { AsyncLocalStorage } from "node:async_hooks";

import { LogBook } from "./logs.mjs";

const storage = new AsyncLocalStorage();
let fallback = null;

/** One execution of one function, or the import of modules. */
export class Frame {
  /**
   * *kind* is `Query`, `Mutation`, `Action`, `HttpAction` or `import`. A nested call shares its caller's
   * *transaction* and *logs*.
   */
  constructor({
    kind,
    component,
    path,
    env,
    environment = "isolate",
    transaction = null,
    logs = new LogBook(),
    call = {},
    identity = null,
  }) {
    this.kind = kind;
    this.component = component;
    this.path = path;
    this.env = env;
    this.environment = environment;
    this.transaction = transaction;
    this.call = call;
    this.identity = identity;
    this.logs = logs;
    /** Open query streams by number. */
    this.queries = new Map();
    /** What the frame's next syscall waits for: its nested calls run one at a time. */
    this.tail = Promise.resolve();
    this.ended = false;
    this.hasPaginated = false;
  }

  get transactional() {
    return this.kind === "Query" || this.kind === "Mutation";
  }

  run(work) {
    return storage.run(this, work);
  }
}

/** Return the frame of the running app code, or null. */
export function currentFrame() {
  return storage.getStore() ?? fallback;
}

/** Run *work* with *frame* also where the async context is lost, as in a module's evaluation; one at a time. */
export async function withFallback(frame, work) {
  fallback = frame;
  try {
    return await frame.run(work);
  } finally {
    fallback = null;
  }
}
