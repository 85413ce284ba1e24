// The engine's life: start, loaded, live, quiet; and what each request does.

import { setTimeout } from "node:timers";

import { App } from "./app.mjs";
import { Database } from "./database.mjs";
import { FunctionFailure, RequestError } from "./errors.mjs";
import { Frame } from "./frames.mjs";
import { installGlobals } from "./globals.mjs";
import { HttpActions } from "./http.mjs";
import { Lock } from "./lock.mjs";
import { importText } from "./modules.mjs";
import { Runner, failureOf } from "./runner.mjs";
import { Scheduler } from "./scheduler.mjs";
import { Files } from "./storage.mjs";
import { Syscalls } from "./syscalls.mjs";
import { System } from "./system.mjs";

const WRAPPERS = /(["'])convex:\/_system\/repl\/wrappers\.js\1/g;
const KINDS = { query: "Query", mutation: "Mutation", action: "Action", any: null };
const ONE_OFF = {
  path: "testQuery.js:default",
  udfType: "Query",
  visibility: { kind: "internal" },
  environment: "isolate",
  args: null,
  returns: null,
};
const WRITES = new Set(["insert", "clear", "replace", "drop", "cancelScheduled"]);

export class Engine {
  #state = "start";
  #current = new App();
  #database;
  #runner;
  #scheduler;
  #files;
  #http;
  #system;

  /** *folder* is the deployment's data folder; *emit* sends an event. */
  constructor({ folder, emit }) {
    const app = () => this.#current;
    const database = new Database(`${folder}/journal.jsonl`);
    const runner = new Runner({ database, lock: new Lock(), app, emit });
    const scheduler = new Scheduler({ database, runner, app });
    const files = new Files({ database, runner, app, folder });
    const parts = { database, runner, scheduler, files, app };
    this.#database = database;
    this.#runner = runner;
    this.#scheduler = scheduler;
    this.#files = files;
    this.#http = new HttpActions(parts);
    this.#system = new System(parts);
    installGlobals(new Syscalls(parts).global());
  }

  /** Answer one request. Throws `RequestError`. */
  async answer({ op, ...args }) {
    const answer = this.#answers[op];
    if (!answer) throw new RequestError("BadRequest", `There is no request \`${op}\`.`);
    return answer(args);
  }

  #answers = {
    ping: () => ({ state: this.#state, running: this.#runner.running.size }),
    load: (args) => this.#load(args),
    open: () => this.#open(),
    quiesce: (args) => this.#quiesce(args),
    resume: () => this.#resume(),
    check: ({ schemas }) => this.#check(schemas),
    run: (args) => this.#run(args),
    runSource: (args) => this.#runSource(args),
    http: (args) => this.#live(() => this.#http.answer(args)),
    env: (args) => this.#setEnv(args),
    system: ({ name, args }) => this.#answerSystem(name, args),
    "file.put": (args) => this.#live(() => this.#files.put(args)),
    "file.get": (args) => this.#readable(() => this.#files.get(args)),
    "file.delete": (args) => this.#live(() => this.#files.drop(args)),
  };

  #live(work) {
    if (this.#state !== "live") throw new RequestError("NotLive", `The engine is not live but ${this.#state}.`);
    return work();
  }

  /** Reads go between the mutations: nothing is seen that may yet be undone. */
  #readable(work) {
    const read = () => this.#runner.read(work);
    return this.#state === "quiet" ? read() : this.#live(read);
  }

  async #load(args) {
    if (this.#state !== "start") throw new RequestError("BadRequest", "An engine loads one push, before it is opened.");
    this.#current = await App.load(args);
    this.#state = "loaded";
    return this.#current.describe();
  }

  async #open() {
    if (this.#state === "live" || this.#state === "quiet")
      throw new RequestError("BadRequest", "The engine is open already.");
    this.#database.open();
    this.#database.schemas = this.#current.schemas();
    this.#files.open();
    await this.#scheduler.start();
    this.#state = "live";
    return { ts: String(this.#database.ts) };
  }

  async #quiesce({ deadlineMs = 5000 }) {
    if (this.#state !== "live") return { idle: true };
    this.#state = "quiet";
    this.#scheduler.stop();
    this.#runner.closed = true;
    const ended = Promise.allSettled([...this.#runner.running]).then(() => true);
    const idle = await Promise.race([ended, new Promise((late) => setTimeout(() => late(false), deadlineMs))]);
    this.#database.close();
    return { idle };
  }

  async #resume() {
    if (this.#state !== "quiet") throw new RequestError("BadRequest", "Only a quiet engine can resume.");
    this.#runner.closed = false;
    this.#database.open();
    await this.#scheduler.start();
    this.#state = "live";
    return {};
  }

  #check(schemas) {
    return this.#readable(() => {
      for (const table of this.#database.tables()) {
        const { component, name } = table;
        for (const [id, document] of table.documents) {
          const misfit = this.#database.misfit(component, name, document, schemas[component]);
          if (misfit !== null)
            return {
              ok: false,
              error: `Document with ID "${id}" in table "${name}" does not match the schema: ${misfit}`,
              component,
              table: name,
            };
        }
      }
      return { ok: true };
    });
  }

  #run({ kind = "any", internal = false, ...args }) {
    if (!(kind in KINDS)) throw new RequestError("BadRequest", `There is no kind \`${kind}\`.`);
    return this.#live(async () => outcomeOf(await this.#runner.run({ ...args, kind: KINDS[kind], internal })));
  }

  #runSource({ source, component = "", args = {}, call }) {
    return this.#live(async () => {
      try {
        const fn = await importQuery(source, this.#current.envOf(component));
        const target = { ...ONE_OFF, fn };
        return outcomeOf(await this.#runner.runTarget(target, { component, args, call }));
      } catch (thrown) {
        return outcomeOf({ failure: failureOf(thrown) });
      }
    });
  }

  async #setEnv({ env, root }) {
    this.#current = await this.#current.renewed(env, root);
    return { appAuth: this.#current.appAuth };
  }

  #answerSystem(name, args) {
    const work = () => this.#system.answer(name, args);
    return WRITES.has(name) ? this.#live(work) : this.#readable(work);
  }
}

/** Import a one-off query. */
async function importQuery(source, env) {
  const wrappers = JSON.stringify(new URL("repl.mjs", import.meta.url).href);
  const frame = new Frame({ kind: "import", component: "", path: ONE_OFF.path, env });
  const { default: fn } = await frame.run(() => importText(source.replace(WRAPPERS, wrappers)));
  if (fn?.isQuery === true) return fn;
  const example = "`export default query({ handler: async (ctx) => … })`";
  throw new FunctionFailure(`The module must export a query by default: ${example}.`);
}

function outcomeOf({ failure, value, logs, reads = [], ts, udfType, durationMs }) {
  const common = { logLines: logs?.texts?.() ?? [], reads, ts, udfType, durationMs };
  if (!failure) return { value, ...common };
  return { error: failure.message, ...(failure.data === undefined ? {} : { data: failure.data }), ...common };
}
