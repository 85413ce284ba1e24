// Reads and writes beside the functions: what dashboards, import and export ask of a deployment.

import { displayPath } from "./analysis.mjs";
import { RequestError } from "./errors.mjs";
import { readPage, visible } from "./queries.mjs";
import { tableNumber } from "./ids.mjs";
import { JOBS } from "./scheduler.mjs";
import { typeOf } from "./values.mjs";

const PAGE = 100;

function misfit(thrown) {
  return thrown instanceof RequestError ? thrown : new RequestError("InvalidDocument", thrown.message);
}

export class System {
  #database;
  #runner;
  #scheduler;
  #files;
  #app;

  constructor({ database, runner, scheduler, files, app }) {
    this.#database = database;
    this.#runner = runner;
    this.#scheduler = scheduler;
    this.#files = files;
    this.#app = app;
  }

  /** Answer the `system` request *name*. */
  answer(name, args = {}) {
    const answer = this.#answers[name];
    if (!answer) throw new RequestError("BadRequest", `There is no system request \`${name}\`.`);
    return answer({ ...args, component: args.component ?? (name === "scheduled" ? undefined : "") });
  }

  #answers = {
    tables: (args) => this.#tables(args),
    documents: (args) => this.#documents(args),
    document: ({ id, component }) => {
      const table = this.#database.tableOfId(component, id);
      return { document: visible(table?.documents.get(id) ?? null), table: table?.name ?? null };
    },
    insert: (args) => this.#rewrite(args, { clear: false }),
    replace: (args) => this.#rewrite(args, { clear: true }),
    clear: ({ table, component }) => this.#clear(table, component),
    drop: async ({ table, component }) => {
      const answer = await this.#clear(table, component);
      this.#database.drop(component, table);
      return answer;
    },
    schemas: () => ({ schemas: this.#database.schemas }),
    shapes: ({ component }) => this.#shapes(component),
    functions: () => ({ functions: this.#functions() }),
    scheduled: (args) => ({ jobs: this.#scheduler.jobs(args) }),
    cancelScheduled: async ({ id, component }) => {
      if (this.#database.tableOfId(component, id)?.name !== JOBS)
        throw new RequestError("BadRequest", `There is no scheduled function ${id}.`);
      await this.#scheduler.cancel({ component, transaction: null }, id);
      return {};
    },
    crons: () => ({ crons: this.#scheduler.crons() }),
    files: (args) => {
      const { page, isDone, continueCursor } = this.#documents(
        { ...args, table: "_storage", order: "asc" },
        (document) => this.#files.describe(document),
      );
      return { files: page, isDone, continueCursor };
    },
    counts: () => this.#counts(),
  };

  #tables({ component }) {
    const declared = (this.#database.schemas[component]?.tables ?? []).map(({ tableName }) => tableName);
    const stored = [...this.#database.tables(component)]
      .map(({ name }) => name)
      .filter((name) => !name.startsWith("_"));
    const tables = [...new Set([...declared, ...stored])].sort().map((name) => ({
      name,
      count: this.#database.table(component, name)?.documents.size ?? 0,
      inSchema: declared.includes(name),
    }));
    return { tables };
  }

  #documents({ table, order = "asc", cursor = null, limit = PAGE, component }, show = visible) {
    const query = { source: { type: "FullTableScan", tableName: table, order }, operators: [] };
    const answer = readPage(this.#database, this.#database.begin(), component, { query, cursor, pageSize: limit });
    const stored = this.#database.table(component, table)?.documents;
    return { ...answer, page: answer.page.map(({ _id }) => show(stored.get(_id))) };
  }

  /** Insert documents, after clearing the table if asked; all or none. An empty table takes its number from the ids. */
  async #rewrite({ table, documents, component }, { clear }) {
    try {
      return await this.#runner.write((transaction) => {
        const found = this.#database.ensure(component, table, tableNumber(documents[0]?._id) ?? undefined);
        const deleted = clear ? this.#empty(transaction, found) : 0;
        for (const document of documents) {
          if (document._id !== undefined && found.documents.has(document._id))
            transaction.replace(component, document._id, document);
          else transaction.add(component, table, document);
        }
        return { ...(clear ? { deleted } : {}), inserted: documents.length };
      });
    } catch (thrown) {
      throw misfit(thrown);
    }
  }

  #empty(transaction, table) {
    const ids = [...table.documents.keys()];
    for (const id of ids) transaction.remove(table.component, id);
    return ids.length;
  }

  #clear(name, component) {
    return this.#runner.write((transaction) => {
      const table = this.#database.table(component, name);
      return { deleted: table ? this.#empty(transaction, table) : 0 };
    });
  }

  #shapes(component) {
    const tables = [...this.#database.tables(component)].filter(({ name }) => !name.startsWith("_"));
    const shape = ({ documents }) => {
      const seen = new Map();
      for (const document of documents.values()) {
        for (const [field, value] of Object.entries(document)) {
          const { types, count } = seen.get(field) ?? { types: new Set(), count: 0 };
          seen.set(field, { types: types.add(typeOf(value)), count: count + 1 });
        }
      }
      const fields = [...seen].map(([field, { types, count }]) => [
        field,
        { types: [...types].sort(), optional: count < documents.size },
      ]);
      return { count: documents.size, fields: Object.fromEntries(fields) };
    };
    return { tables: Object.fromEntries(tables.map((table) => [table.name, shape(table)])) };
  }

  #functions() {
    return [...this.#app().components].flatMap(([component, { analysis }]) =>
      Object.entries(analysis.functions).flatMap(([path, { functions, httpRoutes }]) => [
        ...functions.map(({ name, udfType, visibility, args, returns }) => ({
          component,
          path: displayPath(`${path}:${name}`),
          udfType,
          visibility,
          args,
          returns,
        })),
        ...(httpRoutes ?? []).map(({ route }) => ({
          component,
          method: route.method,
          route: route.path,
          udfType: "HttpAction",
        })),
      ]),
    );
  }

  #counts() {
    const tables = [...this.#database.tables()].filter(({ name }) => !name.startsWith("_") || name === JOBS);
    const documents = tables.flatMap((table) => [...table.documents.values()]);
    return {
      documents: documents.length,
      tables: tables.length,
      bytes: documents.reduce((sum, document) => sum + JSON.stringify(document).length, 0),
    };
  }
}
