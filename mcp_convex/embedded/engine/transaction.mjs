// Reads and writes that happen together or not at all: written at once, undone on failure.

import { canonical, resolveCommitTs } from "./values.mjs";

const MAX_DOCUMENT_BYTES = 2 ** 20;
const TABLE_NAME = /^[a-zA-Z][a-zA-Z0-9_]*$/;
/** What a caller can limit, and what is said of going beyond. */
const TOO_MANY = {
  databaseQueries: "Too many reads",
  documentsRead: "Too many documents read",
  documentsWritten: "Too many writes",
  functionsScheduled: "Too many functions scheduled",
};

function checkFields(document) {
  for (const name of Object.keys(document)) {
    if (name.startsWith("_") && name !== "_id" && name !== "_creationTime") {
      throw new Error(`Field '${name}' starts with an underscore, which is only allowed for system fields like '_id'`);
    }
  }
  const bytes = JSON.stringify(document).length;
  if (bytes > MAX_DOCUMENT_BYTES) {
    throw new Error(`Value is too large (${(bytes / MAX_DOCUMENT_BYTES).toFixed(2)} MiB > maximum size 1 MiB)`);
  }
}

function checkTableName(name) {
  if (TABLE_NAME.test(name)) return;
  const rule = "Identifiers must start with a letter and can only contain letters, digits, and underscores.";
  throw new Error(`Invalid table name: ${JSON.stringify(name)}. ${rule}`);
}

/** The database keeps no versions: the caller sees to it that a writing transaction is alone. */
export class Transaction {
  #database;
  #undo = [];

  constructor(database) {
    this.#database = database;
    /** What was read, as `component\ntable`. */
    this.reads = new Set();
    this.closed = false;
    /** How often each thing was done that a caller can limit. */
    this.used = Object.fromEntries(Object.keys(TOO_MANY).map((name) => [name, 0]));
    /** How often it may be done; without end, unless a caller has said so. */
    this.limits = {};
  }

  get snapshotTs() {
    return this.#database.ts;
  }

  noteRead(component, name) {
    this.reads.add(`${component}\n${name}`);
    this.spend("databaseQueries");
  }

  noteDocument() {
    this.spend("documentsRead");
  }

  /** Count one more of *name*. Throws where that is more than a caller allows. */
  spend(name) {
    this.used[name] += 1;
    const limit = this.limits[name] ?? Infinity;
    if (this.used[name] > limit)
      throw new Error(`${TOO_MANY[name]} in a single function execution (limit: ${limit})`);
  }

  /** Let *work* do no more than *budget* says on top of what was done, nor more than was allowed before. */
  async within(budget, work) {
    const before = this.limits;
    const ceiling = ([name, more]) => [name, Math.min(this.used[name] + more, before[name] ?? Infinity)];
    this.limits = { ...before, ...Object.fromEntries(Object.entries(budget ?? {}).map(ceiling)) };
    try {
      return await work();
    } finally {
      this.limits = before;
    }
  }

  /** Return the document of *id*, or null. */
  get(component, id) {
    const table = this.#database.tableOfId(component, id);
    if (table === null) return null;
    this.noteRead(component, table.name);
    this.noteDocument();
    return table.documents.get(id) ?? null;
  }

  insert(component, name, value) {
    checkTableName(name);
    for (const field of ["_id", "_creationTime"]) {
      if (Object.hasOwn(value, field))
        throw new Error(
          `Invalid argument \`value\` for \`db.insert\`: The document must not contain the system field \`${field}\`.`,
        );
    }
    return this.add(component, name, value);
  }

  /** Insert into any table; `_id` and `_creationTime` are kept where *value* has them. */
  add(component, name, value) {
    const table = this.#database.ensure(component, name);
    const document = {
      _creationTime: this.#database.nextCreationTime(),
      _id: this.#database.newId(table),
      ...value,
    };
    this.#write(table, document._id, document);
    return document._id;
  }

  /** Set the fields of *changes*, and remove those that are `{"$undefined": null}`. */
  patch(component, id, changes) {
    const { table, document } = this.#existing(component, id, "patch");
    const next = { ...document };
    for (const [name, value] of Object.entries(changes)) {
      if (value !== null && typeof value === "object" && "$undefined" in value) delete next[name];
      else next[name] = value;
    }
    this.#overwrite(table, document, next);
  }

  replace(component, id, value) {
    const { table, document } = this.#existing(component, id, "replace");
    const { _id, _creationTime } = document;
    this.#overwrite(table, document, { _id, _creationTime, ...value });
  }

  remove(component, id) {
    const { table } = this.#existing(component, id, "delete");
    this.#write(table, id, null);
  }

  #existing(component, id, method) {
    const table = this.#database.tableOfId(component, id);
    const document = table?.documents.get(id);
    if (table) this.noteRead(component, table.name);
    if (document) return { table, document };
    throw new Error(`${method === "delete" ? "Delete" : "Update"} on nonexistent document ID ${id}`);
  }

  #overwrite(table, before, document) {
    if (document._id !== before._id) {
      throw new Error(`Provided \`_id\` field value "${document._id}" does not match the document ID "${before._id}"`);
    }
    if (document._creationTime !== before._creationTime) {
      throw new Error(
        `Provided \`_creationTime\` field value ${document._creationTime} does not match the document's ${before._creationTime}`,
      );
    }
    this.#write(table, before._id, document);
  }

  #write(table, id, value) {
    const document = value === null ? null : canonical(value);
    if (document !== null && !table.name.startsWith("_")) {
      checkFields(document);
      const misfit = this.#database.misfit(table.component, table.name, document);
      if (misfit !== null) {
        throw new Error(
          `Failed to insert or update a document in table "${table.name}" because it does not match the schema: ${misfit}`,
        );
      }
    }
    this.#undo.push([table, id, table.set(id, document)]);
    if (!table.name.startsWith("_")) this.spend("documentsWritten");
  }

  /** Return a mark to which `rollback` can return. */
  savepoint() {
    return this.#undo.length;
  }

  rollback(savepoint = 0) {
    while (this.#undo.length > savepoint) {
      const [table, id, before] = this.#undo.pop();
      table.set(id, before);
    }
  }

  /**
   * Make the changes durable and return which tables they touched.
   * Where that fails (a full disk), nothing has changed.
   */
  commit() {
    const touched = new Map();
    for (const [table, id] of this.#undo) touched.set(`${table.component}\n${table.name}\n${id}`, [table, id]);
    if (touched.size === 0) return [];
    const ts = this.#database.nextTs();
    const writes = [...touched.values()].map(([table, id]) => this.#settled(table, id, ts));
    try {
      this.#database.persist(ts, writes);
    } catch (error) {
      this.rollback();
      throw error;
    }
    const tables = new Set(writes.map(([component, name]) => `${component}\n${name}`));
    return [...tables].map((table) => table.split("\n"));
  }

  #settled(table, id, ts) {
    let document = table.documents.get(id) ?? null;
    if (document !== null && JSON.stringify(document).includes('{"$commitTs":null}')) {
      document = canonical(resolveCommitTs(document, ts));
      this.#undo.push([table, id, table.set(id, document)]);
    }
    return [table.component, table.name, table.number, id, document];
  }
}
