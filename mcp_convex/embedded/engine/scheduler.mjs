// Scheduled functions and crons: kept as documents, each mutation run exactly once, each action at most once.

import { clearTimeout, setTimeout } from "node:timers";

import { displayPath } from "./analysis.mjs";
import { firstRun, nextRun } from "./crons.mjs";
import { Skipped } from "./errors.mjs";

export const JOBS = "_scheduled_functions";
const CRONS = "_crons";
const DUE = ["state.kind", "scheduledTime"];
const LONGEST_SLEEP_MS = 60_000;
const KEEP_MS = 7 * 86_400_000;
const SCHEDULED_TOO_FAR_MS = 5 * 365 * 86_400_000;

export class Scheduler {
  #database;
  #runner;
  #app;
  #timer = null;
  #live = false;
  /** Jobs and crons under way, by id, so that none is started twice. */
  #running = new Set();

  constructor({ database, runner, app }) {
    this.#database = database;
    this.#runner = runner;
    this.#app = app;
  }

  /** Begin: what was under way when the last process ended has failed, and crons are as the code has them. */
  async start() {
    await this.#runner.write((transaction) => {
      for (const { table, document } of [...this.#jobs()]) this.#settleOld(transaction, table, document);
      this.#declareCrons(transaction);
    });
    this.#live = true;
    this.wake();
  }

  stop() {
    this.#live = false;
    clearTimeout(this.#timer);
  }

  *#jobs() {
    for (const table of this.#database.tables()) {
      if (table.name !== JOBS) continue;
      for (const document of table.documents.values()) yield { table, document };
    }
  }

  #settleOld(transaction, { component }, { _id, state, completedTime }) {
    if (state.kind === "inProgress") {
      const error = "Transient error while executing action";
      transaction.patch(component, _id, { state: { kind: "failed", error }, completedTime: Date.now() });
    } else if (completedTime !== undefined && Date.now() - completedTime > KEEP_MS) {
      transaction.remove(component, _id);
    }
  }

  /** Run *work* in the frame's transaction, or in one of its own for an action. */
  #within(frame, work) {
    return frame.transaction === null ? this.#runner.write(work) : work(frame.transaction);
  }

  /** Keep a job until its time; return its id. */
  async schedule(frame, { path, component, args, scheduledTime }) {
    if (Math.abs(scheduledTime - Date.now()) > SCHEDULED_TOO_FAR_MS) {
      throw new Error("Scheduled functions must be at most 5 years in the past or the future.");
    }
    const job = { name: path, args: [args], scheduledTime, state: { kind: "pending" }, $component: component };
    const id = await this.#within(frame, (transaction) => {
      transaction.spend("functionsScheduled");
      return transaction.add(frame.component, JOBS, job);
    });
    this.wake();
    return id;
  }

  /** Cancel a job that has not begun; one that has ended stays as it is. */
  async cancel({ component, transaction }, id) {
    await this.#within({ transaction }, (within) => {
      const job = within.get(component, id);
      if (job === null || this.#database.tableOfId(component, id)?.name !== JOBS)
        throw new Error(`Scheduled function ${id} does not exist.`);
      if (["pending", "inProgress"].includes(job.state.kind))
        within.patch(component, id, { state: { kind: "canceled" }, completedTime: Date.now() });
    });
  }

  /** Look again at what is due; called whenever a job may have been added. */
  wake() {
    if (!this.#live) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#runner.read(() => this.#tick()), 0);
  }

  /** Start what is due, and sleep until the next; between mutations, so that no job is seen that may yet be undone. */
  #tick() {
    if (!this.#live) return;
    const now = Date.now();
    let next = now + LONGEST_SLEEP_MS;
    for (const { component, document, due, run } of this.#pending()) {
      if (this.#running.has(document._id)) continue;
      if (due <= now) void this.#start(document._id, () => run(component, document));
      else next = Math.min(next, due);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.wake(), next - now);
  }

  /** Yield every waiting job and cron; of jobs only those due, and the first that is not. */
  *#pending() {
    const now = Date.now();
    for (const table of [...this.#database.tables()]) {
      const { component } = table;
      if (table.name === CRONS) {
        for (const document of table.documents.values())
          yield { component, document, due: document.nextRun, run: (...cron) => this.#runCron(...cron) };
      } else if (table.name === JOBS) {
        const index = table.index(DUE);
        for (let at = index.position(["pending"]); at < index.entries.length; at += 1) {
          const { document } = index.entries[at];
          if (document.state.kind !== "pending") break;
          yield { component, document, due: document.scheduledTime, run: (...job) => this.#runJob(...job) };
          if (document.scheduledTime > now) break;
        }
      }
    }
  }

  async #start(id, run) {
    this.#running.add(id);
    try {
      await this.#runner.track(run());
    } catch {
      // It was canceled, or the engine is stopping: a job that stays pending is run by the next process.
    } finally {
      this.#running.delete(id);
      this.wake();
    }
  }

  #call(scheduledFunctionId, caller) {
    return { caller, scheduledFunctionId };
  }

  #lookup(component, path) {
    try {
      return { target: this.#runner.lookup(component, path) };
    } catch (failure) {
      return { failure };
    }
  }

  async #runJob(component, job) {
    const { _id: id, name, args } = job;
    const target = job.$component ?? component;
    const { target: found, failure } = this.#lookup(target, name);
    const finish = (transaction, state) => {
      if (transaction.get(component, id)?.state.kind !== "canceled")
        transaction.patch(component, id, { state, completedTime: Date.now() });
    };
    if (failure)
      return this.#runner.write((transaction) => finish(transaction, { kind: "failed", error: failure.message }));
    const call = this.#call(id, "Scheduler");
    let outcome;
    if (found.udfType === "Mutation") {
      outcome = await this.#runner.runTarget(found, {
        component: target,
        args,
        call,
        prepare: (transaction) => this.#stillPending(transaction, component, id),
        settle: (transaction) => finish(transaction, { kind: "success" }),
      });
    } else {
      await this.#runner.write((transaction) => {
        this.#stillPending(transaction, component, id);
        transaction.patch(component, id, { state: { kind: "inProgress" } });
      });
      outcome = await this.#runner.runTarget(found, { component: target, args, call });
      if (!outcome.failure) return this.#runner.write((transaction) => finish(transaction, { kind: "success" }));
    }
    if (!outcome.failure) return undefined;
    return this.#runner.write((transaction) => finish(transaction, { kind: "failed", error: outcome.failure.message }));
  }

  #stillPending(transaction, component, id) {
    if (transaction.get(component, id)?.state.kind !== "pending") throw new Skipped(id);
  }

  /** Make the stored crons those of the code; one that did not change keeps its next run. */
  #declareCrons(transaction) {
    const declared = new Map(
      this.#app()
        .crons()
        .map((cron) => [`${cron.component}\n${cron.name}`, cron]),
    );
    for (const table of [...this.#database.tables()]) {
      if (table.name !== CRONS) continue;
      for (const { _id, name, spec } of [...table.documents.values()]) {
        const key = `${table.component}\n${name}`;
        if (declared.has(key) && spec === specOf(declared.get(key))) declared.delete(key);
        else transaction.remove(table.component, _id);
      }
    }
    for (const cron of declared.values()) {
      transaction.add(cron.component, CRONS, {
        name: cron.name,
        spec: specOf(cron),
        lastRun: null,
        nextRun: firstRun(cron.cronSchedule, Date.now()),
      });
    }
  }

  async #runCron(component, { _id: id, spec }) {
    const { udfPath, udfArgs, cronSchedule } = JSON.parse(spec);
    const now = Date.now();
    await this.#runner.write((transaction) =>
      transaction.patch(component, id, { lastRun: now, nextRun: nextRun(cronSchedule, now) }),
    );
    const { target } = this.#lookup(component, udfPath);
    if (target) await this.#runner.runTarget(target, { component, args: udfArgs, call: this.#call(null, "Cron") });
  }

  /** Say of each cron when it ran and will run. */
  crons() {
    const stored = [...this.#database.tables()].filter(({ name }) => name === CRONS);
    return stored.flatMap(({ component, documents }) =>
      [...documents.values()].map(({ name, spec, lastRun, nextRun: next }) => {
        const { udfPath, cronSchedule } = JSON.parse(spec);
        return { name, schedule: cronSchedule, function: displayPath(udfPath), component, lastRun, nextRun: next };
      }),
    );
  }

  /** List jobs of every component, the newest first. */
  jobs({ component, limit = 100 }) {
    const found = [...this.#jobs()].filter(({ table }) => component === undefined || table.component === component);
    const jobs = found.map(({ table, document: { $component: target, ...job } }) => ({
      ...job,
      name: displayPath(job.name),
      component: table.component,
      target,
    }));
    return jobs.sort((a, b) => b._creationTime - a._creationTime).slice(0, limit);
  }
}

function specOf({ udfPath, udfArgs, cronSchedule }) {
  return JSON.stringify({ udfPath, udfArgs, cronSchedule });
}
