// `convex:/_system/repl/wrappers.js`: the `query` of one-off queries, a small reader over the same syscalls as the app's.

import { decode, encode } from "./values.mjs";

const { Convex } = globalThis;

/** Convex's JSON to what app code handles: as `decode`, but bytes are an ArrayBuffer. */
function fromJson(json) {
  return toArrayBuffers(decode(json));
}

function toArrayBuffers(value) {
  if (Buffer.isBuffer(value)) return value.buffer.slice(value.byteOffset, value.byteOffset + value.length);
  if (Array.isArray(value)) return value.map(toArrayBuffers);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toArrayBuffers(inner)]));
}

const call = async (op, args) => JSON.parse(await Convex.asyncSyscall(op, JSON.stringify(args)));

class Expression {
  constructor(json) {
    this.json = json;
  }
}

const serialize = (value) => (value instanceof Expression ? value.json : { $literal: encode(value) });
const BINARY = ["eq", "neq", "lt", "lte", "gt", "gte", "add", "sub", "mul", "div", "mod"];
const filterBuilder = {
  ...Object.fromEntries(
    BINARY.map((name) => [name, (a, b) => new Expression({ [`$${name}`]: [serialize(a), serialize(b)] })]),
  ),
  and: (...parts) => new Expression({ $and: parts.map(serialize) }),
  or: (...parts) => new Expression({ $or: parts.map(serialize) }),
  not: (part) => new Expression({ $not: serialize(part) }),
  neg: (part) => new Expression({ $neg: serialize(part) }),
  field: (path) => new Expression({ $field: path }),
};

class Range {
  constructor(parts = []) {
    this.parts = parts;
  }

  with(type, fieldPath, value) {
    return new Range([...this.parts, { type, fieldPath, value: type === "Search" ? value : encode(value) }]);
  }

  eq = (field, value) => this.with("Eq", field, value);
  gt = (field, value) => this.with("Gt", field, value);
  gte = (field, value) => this.with("Gte", field, value);
  lt = (field, value) => this.with("Lt", field, value);
  lte = (field, value) => this.with("Lte", field, value);
  search = (field, value) => this.with("Search", field, value);
}

class Query {
  constructor(source, operators = []) {
    this.source = source;
    this.operators = operators;
  }

  get #table() {
    return this.source.tableName;
  }

  withIndex(name, range = (q) => q) {
    return new Query({
      type: "IndexRange",
      indexName: `${this.#table}.${name}`,
      range: range(new Range()).parts,
      order: null,
    });
  }

  withSearchIndex(name, filter) {
    return new Query({ type: "Search", indexName: `${this.#table}.${name}`, filters: filter(new Range()).parts });
  }

  order(order) {
    return new Query({ ...this.source, order }, this.operators);
  }

  filter(predicate) {
    return new Query(this.source, [...this.operators, { filter: serialize(predicate(filterBuilder)) }]);
  }

  async *[Symbol.asyncIterator]() {
    const { queryId } = JSON.parse(Convex.syscall("1.0/queryStream", JSON.stringify({ query: this })));
    for (;;) {
      const { value, done } = await call("1.0/queryStreamNext", { queryId });
      if (done) return;
      yield fromJson(value);
    }
  }

  async collect() {
    const documents = [];
    for await (const document of this) documents.push(document);
    return documents;
  }

  take(n) {
    return new Query(this.source, [...this.operators, { limit: n }]).collect();
  }

  async first() {
    return (await this.take(1))[0] ?? null;
  }

  async unique() {
    const found = await this.take(2);
    if (found.length > 1)
      throw new Error(`unique() query returned more than one result: [${found.map(({ _id }) => _id).join(", ")}, ...]`);
    return found[0] ?? null;
  }

  async count() {
    return (await this.collect()).length;
  }

  async paginate({ numItems, cursor, endCursor = null }) {
    const answer = await call("1.0/queryPage", { query: this, cursor, endCursor, pageSize: numItems });
    return { ...answer, page: answer.page.map(fromJson) };
  }

  toJSON() {
    return { source: { order: null, ...this.source }, operators: this.operators };
  }
}

function reader(isSystem) {
  const get = async (...args) =>
    fromJson(await call("1.0/get", { id: args.at(-1), table: args.length > 1 ? args[0] : undefined, isSystem }));
  const query = (tableName) => new Query({ type: "FullTableScan", tableName, order: null });
  const normalizeId = (table, idString) =>
    JSON.parse(Convex.syscall("1.0/db/normalizeId", JSON.stringify({ table, idString }))).id;
  return { get, query, normalizeId };
}

/** The name under which a function reference, or a plain string, is known. */
function address(reference) {
  if (typeof reference === "string") return { name: reference };
  return { name: reference[Symbol.for("functionName")], reference: reference[Symbol.for("toReferencePath")] };
}

const context = {
  db: { ...reader(false), system: reader(true) },
  auth: { getUserIdentity: () => call("1.0/getUserIdentity", {}) },
  storage: {
    getUrl: (storageId) => call("1.0/storageGetUrl", { storageId }),
    getMetadata: (storageId) => call("1.0/storageGetMetadata", { storageId }),
  },
  runQuery: async (reference, args = {}) =>
    fromJson(await call("1.0/runUdf", { udfType: "query", args: encode(args), ...address(reference) })),
};

/** Make a one-off query from `{handler}` or a plain function. */
export function query(definition) {
  const handler = typeof definition === "function" ? definition : definition.handler;
  const registered = (ctx, args) => handler(ctx, args);
  return Object.assign(registered, {
    isQuery: true,
    isInternal: true,
    invokeQuery: async (text) => {
      const value = await handler(context, ...JSON.parse(text).map(fromJson));
      if (value instanceof Query)
        throw new Error(
          "Return value is a Query. Results must be retrieved with `.collect()`, `.take(n), `.unique()`, or `.first()`.",
        );
      return JSON.stringify(encode(value === undefined ? null : value));
    },
  });
}

export const internalQuery = query;
