// Runs functions: looks them up, validates what goes in and out, and gives each its transaction, log and time limit.

import { randomBytes, randomUUID } from "node:crypto";
import { clearTimeout, setTimeout } from "node:timers";

import { displayPath, canonicalPath } from "./analysis.mjs";
import { FunctionFailure, RequestError, Skipped } from "./errors.mjs";
import { Frame } from "./frames.mjs";
import { completion } from "./logs.mjs";
import { uncaught } from "./trace.mjs";
import { mismatch } from "./validators.mjs";

const TRANSACTION_SECONDS = 30;
const INVOKE = {
  Query: (fn, args) => fn.invokeQuery(args),
  Mutation: (fn, args) => fn.invokeMutation(args),
  Action: (fn, args, requestId) => fn.invokeAction(requestId, args),
};
const CONVEX_ERROR = Symbol.for("ConvexError");

/** Turn whatever a function threw into a failure as Convex words it. */
export function failureOf(thrown) {
  if (thrown instanceof FunctionFailure) return thrown;
  const named = typeof thrown === "object" && thrown !== null && CONVEX_ERROR in thrown;
  return new FunctionFailure(
    uncaught(thrown),
    named && typeof thrown.data === "string" ? JSON.parse(thrown.data) : undefined,
  );
}

async function within(seconds, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new FunctionFailure(`Function execution timed out (maximum duration: ${seconds}s)`)),
      seconds * 1000,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function newCall(call = {}) {
  return {
    caller: "Tester",
    ...call,
    requestId: call.requestId ?? randomBytes(8).toString("hex"),
    executionId: call.executionId ?? randomUUID(),
  };
}

export class Runner {
  #database;
  #lock;
  #app;
  #emit;
  /** What is under way, so that the engine knows when it is idle. */
  running = new Set();
  /** Set by `quiesce`: nothing new begins. */
  closed = false;

  /** *app* answers what is loaded; *emit* sends an event. */
  constructor({ database, lock, app, emit }) {
    this.#database = database;
    this.#lock = lock;
    this.#app = app;
    this.#emit = emit;
  }

  /** Find a function; *kind* null takes any. Throws `FunctionFailure` in Convex's words. */
  lookup(component, path, { kind = null, internal = true } = {}) {
    const found = this.#app().function(component, canonicalPath(path));
    const name = displayPath(canonicalPath(path)).replace(/:default$/, "");
    if (!found || (!internal && found.visibility?.kind !== "public")) {
      const which = internal
        ? `function for '${name}'. Did you forget to run \`npx convex dev\`?`
        : `public function for '${name}'. Did you forget to run \`npx convex dev\` or \`npx convex deploy\`?`;
      throw new FunctionFailure(`Could not find ${which}`);
    }
    if (kind !== null && kind !== found.udfType) {
      throw new FunctionFailure(
        `Trying to execute ${canonicalPath(path)} as ${kind}, but it is defined as ${found.udfType}.`,
      );
    }
    return found;
  }

  /**
   * Run a function from outside, or from an action. *prepare* and *settle* run inside a
   * mutation's transaction, before and after it.
   */
  async run({ kind = null, component = "", path, args, identity = null, call, internal = false, prepare, settle }) {
    const context = newCall(call);
    let target;
    try {
      target = this.lookup(component, path, { kind, internal });
    } catch (failure) {
      return { failure, logs: [], reads: [], udfType: kind };
    }
    return this.runTarget(target, { component, args, identity, call: context, prepare, settle });
  }

  /** Run a function that was found. */
  runTarget(target, { component, args, identity = null, call, prepare, settle }) {
    const frame = new Frame({
      kind: target.udfType,
      component,
      path: displayPath(target.path),
      env: this.#app().envOf(component),
      environment: target.environment,
      transaction: target.udfType === "Action" ? null : this.#database.begin(),
      call: newCall(call),
      identity,
    });
    return this.execute(frame, async () => {
      if (prepare) prepare(frame.transaction);
      const value = await this.invoke(frame, target, args);
      if (settle) settle(frame.transaction, value);
      return value;
    });
  }

  /** Run *work* as the execution that *frame* describes, and log it. */
  async execute(frame, work) {
    // What an action calls is no new work: it is let finish.
    if (this.closed && !frame.call.parentExecutionId)
      throw new RequestError("NotLive", "The engine takes no new work.");
    return this.track(this.#execute(frame, work));
  }

  /** Count *work*, a promise, as under way until it has settled. */
  async track(work) {
    this.running.add(work);
    try {
      return await work;
    } finally {
      this.running.delete(work);
    }
  }

  /** Run *work* while no mutation is under way. */
  read(work) {
    return this.#lock.shared(work);
  }

  async #execute(frame, work) {
    const startedMs = Date.now();
    const started = performance.now();
    const outcome = { udfType: frame.kind, reads: [], logs: frame.logs };
    try {
      outcome.value = await this.#inTransaction(frame, work);
    } catch (thrown) {
      if (thrown instanceof Skipped) throw thrown;
      outcome.failure = failureOf(thrown);
    }
    frame.ended = true;
    outcome.durationMs = performance.now() - started;
    outcome.ts = String(this.#database.ts);
    outcome.reads = [...(frame.transaction?.reads ?? [])].map((read) => read.split("\n"));
    const value = frame.kind === "HttpAction" ? outcome.value?.status : JSON.stringify(outcome.value);
    this.#emit({
      event: "log",
      entry: completion(frame, {
        startedMs,
        durationMs: outcome.durationMs,
        error: outcome.failure?.message ?? null,
        value,
      }),
    });
    return outcome;
  }

  #inTransaction(frame, work) {
    if (frame.kind === "Query") return this.#lock.shared(() => within(TRANSACTION_SECONDS, this.#finish(frame, work)));
    if (frame.kind !== "Mutation") return work();
    return this.#lock.exclusive(async () => {
      const { transaction } = frame;
      try {
        const value = await within(TRANSACTION_SECONDS, this.#finish(frame, work));
        frame.ended = true;
        this.announce(transaction.commit());
        return value;
      } catch (thrown) {
        frame.ended = true;
        transaction.rollback();
        throw thrown;
      }
    });
  }

  /** A nested call that nobody awaited still belongs to the transaction. */
  async #finish(frame, work) {
    const value = await work();
    await frame.tail;
    return value;
  }

  /** Tell the world which tables a commit touched. */
  announce(tables) {
    if (tables.length > 0) this.#emit({ event: "commit", tables, ts: String(this.#database.ts) });
  }

  /** Run *work* with a transaction of its own, outside any function. */
  write(work) {
    const written = this.#lock.exclusive(() => {
      const transaction = this.#database.begin();
      try {
        const value = work(transaction);
        this.announce(transaction.commit());
        return value;
      } catch (thrown) {
        transaction.rollback();
        throw thrown;
      }
    });
    return this.track(written);
  }

  /** Run a nested query or mutation in its caller's transaction, within *limits*; what it wrote is undone if it throws. */
  async nested(parent, { kind, component, path, args, limits }) {
    const target = this.lookup(component, path, { kind });
    const { transaction } = parent;
    const frame = new Frame({
      kind,
      component,
      path: displayPath(target.path),
      env: this.#app().envOf(component),
      transaction,
      logs: parent.logs,
      call: parent.call,
      identity: component === parent.component ? parent.identity : null,
    });
    const savepoint = transaction.savepoint();
    try {
      return await transaction.within(limits, () => this.#finish(frame, () => this.invoke(frame, target, args)));
    } catch (thrown) {
      transaction.rollback(savepoint);
      throw failureOf(thrown);
    } finally {
      frame.ended = true;
    }
  }

  /** Validate the arguments, call the function, validate what it returned. */
  async invoke(frame, target, args) {
    const tableOf = (id) => this.#database.tableOfId(frame.component, id)?.name ?? null;
    const given = Array.isArray(args) ? (args[0] ?? {}) : (args ?? {});
    const wrong = target.args === null ? null : mismatch(target.args, given, { tableOf });
    if (wrong !== null) throw new FunctionFailure(`ArgumentValidationError: ${wrong}`);
    const text = await frame.run(() => INVOKE[frame.kind](target.fn, JSON.stringify([given]), frame.call.requestId));
    const value = JSON.parse(text);
    const misfit = target.returns === null ? null : mismatch(target.returns, value, { tableOf });
    if (misfit !== null) throw new FunctionFailure(`ReturnsValidationError: ${misfit}`);
    return value;
  }
}
