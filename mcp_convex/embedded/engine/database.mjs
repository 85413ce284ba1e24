// The documents in memory: tables, their indexes, and transactions over them.

import { FIRST_TABLE, newId, tableNumber } from "./ids.mjs";
import { Journal } from "./journal.mjs";
import { Table } from "./table.mjs";
import { Transaction } from "./transaction.mjs";
import { mismatch } from "./validators.mjs";

const CREATION_STEP = 2 ** -10;
/** In a millisecond. */
const NANOSECONDS = 1_000_000n;

/** Everything that the deployment stores. System tables begin with `_` and are tables like others. */
export class Database {
  #components = new Map();
  #journal;
  #lastCreation = 0;

  /** Each component's schema, or null; the pushed code's. */
  schemas = {};
  /** The last commit, in nanoseconds. */
  ts = 0n;

  constructor(path) {
    this.#journal = new Journal(path);
  }

  /** Read the journal. Throws `DataCorrupt`. */
  open() {
    this.#components.clear();
    const lines = this.#journal.open((commit) => this.#replay(commit));
    const alive = [...this.tables()].reduce((sum, table) => sum + table.documents.size, 0);
    this.#journal.compact(lines, alive, this.#snapshot());
  }

  close() {
    this.#journal.close();
  }

  #replay({ ts, writes = [], drop }) {
    for (const [component, name, number, id, document] of writes) {
      this.ensure(component, name, number).set(id, document);
    }
    if (drop) this.#components.get(drop[0])?.delete(drop[1]);
    this.ts = BigInt(ts);
    this.#lastCreation = Number(this.ts / NANOSECONDS);
  }

  *#snapshot() {
    for (const table of this.tables()) {
      const { component, name, number } = table;
      for (const [id, document] of table.documents) {
        yield { ts: String(this.ts), writes: [[component, name, number, id, document]] };
      }
    }
  }

  *tables(component) {
    const within = component === undefined ? this.#components.values() : [this.#components.get(component) ?? new Map()];
    for (const tables of within) yield* tables.values();
  }

  table(component, name) {
    return this.#components.get(component)?.get(name);
  }

  /** Return the table, made if there was none; with *number* if that is free. */
  ensure(component, name, number) {
    if (!this.#components.has(component)) this.#components.set(component, new Map());
    const tables = this.#components.get(component);
    if (!tables.has(name)) {
      const taken = new Set([...tables.values()].map((table) => table.number));
      const free = number !== undefined && !taken.has(number) ? number : Math.max(FIRST_TABLE - 1, ...taken) + 1;
      tables.set(name, new Table(component, name, free));
    }
    return tables.get(name);
  }

  /** Return the table that *id* belongs to, whether or not its document is still there, or null. */
  tableOfId(component, id) {
    const number = tableNumber(id);
    let byNumber = null;
    for (const table of this.tables(component)) {
      if (table.documents.has(id)) return table;
      if (table.number === number) byNumber = table;
    }
    return byNumber;
  }

  schemaOf(component, name) {
    return this.schemas[component]?.tables.find((table) => table.tableName === name);
  }

  /** Say why *document* does not fit its table's schema, or null. */
  misfit(component, name, document, schema = this.schemas[component]) {
    if (!schema?.schemaValidation) return null;
    const table = schema.tables.find(({ tableName }) => tableName === name);
    if (!table) return null;
    const tableOf = (id) => [...this.tables(component)].find(({ documents }) => documents.has(id))?.name ?? null;
    return mismatch(table.documentType, document, { tableOf, document: true });
  }

  newId(table) {
    return newId(table.number);
  }

  /** Return a creation time that is later than any before it, in milliseconds. */
  nextCreationTime() {
    this.#lastCreation = Math.max(Date.now(), this.#lastCreation + CREATION_STEP);
    return this.#lastCreation;
  }

  nextTs() {
    const now = BigInt(Date.now()) * NANOSECONDS;
    return now > this.ts ? now : this.ts + 1n;
  }

  begin() {
    return new Transaction(this);
  }

  /** Write one commit to the journal; only a transaction calls this. */
  persist(ts, writes) {
    this.#journal.append({ ts: String(ts), writes });
    this.ts = ts;
  }

  /** Forget an empty table. */
  drop(component, name) {
    this.#components.get(component)?.delete(name);
    this.#journal.append({ ts: String(this.ts), drop: [component, name] });
  }
}
