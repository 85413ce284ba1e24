// Runs serialised queries: their source, order, filters, limit, and pages with stable cursors.

import { passes } from "./expressions.mjs";
import { searchText } from "./search.mjs";
import { Table } from "./table.mjs";
import { compare, compareLists, decode, encode } from "./values.mjs";

const BUILT_IN = { by_creation_time: [], by_id: ["_id"] };
const END = "end";
const MAX_PAGE = 32_000;
/** Documents, beyond which Convex recommends to split a page. */
const LONG_PAGE = 6144;

/** Hide what only the engine may know of a system table's document. */
export function visible(document) {
  if (document === null || !Object.keys(document).some((name) => name.startsWith("$"))) return document;
  return Object.fromEntries(Object.entries(document).filter(([name]) => !name.startsWith("$")));
}

function indexFields(database, component, table, name) {
  if (Object.hasOwn(BUILT_IN, name)) return BUILT_IN[name];
  const found = database.schemaOf(component, table)?.indexes.find((index) => index.indexDescriptor === name);
  if (!found) throw new Error(`Index ${table}.${name} not found.`);
  return found.fields.filter((field) => field !== "_creationTime");
}

/** Turn `eq`, `gt`, … into the key prefixes between which the documents lie. */
function bounds(index, range, name) {
  const equal = [];
  let low = null;
  let high = null;
  for (const { type, fieldPath, value } of range) {
    const expected = index.fields[equal.length];
    if (fieldPath !== expected) {
      throw new Error(
        `Tried to query index ${name} but the query didn't use the index fields in order. Invalid index range: expected field ${expected}, got ${fieldPath}.`,
      );
    }
    if (type === "Eq") equal.push(decode(value));
    else if (type === "Gt" || type === "Gte") low = { key: decode(value), after: type === "Gt" };
    else high = { key: decode(value), after: type === "Lte" };
  }
  const start = low === null ? { key: equal, after: false } : { key: [...equal, low.key], after: low.after };
  const stop = high === null ? { key: equal, after: true } : { key: [...equal, high.key], after: high.after };
  return { start, stop };
}

/** Walks an index in one direction, and keeps its place while documents come and go. */
class IndexWalk {
  #index;
  #descending;
  #start;
  #stop;
  #last = null;
  #position = null;
  #version;

  constructor(index, { start, stop }, descending) {
    this.#index = index;
    this.#descending = descending;
    this.#start = start;
    this.#stop = stop;
  }

  /** Begin after the document that has *key*. */
  skipTo(key) {
    this.#last = key;
  }

  #seek() {
    const index = this.#index;
    const step = this.#descending ? -1 : 1;
    if (this.#position !== null && this.#version === index.version) this.#position += step;
    else if (this.#descending) {
      const limit = index.position(this.#stop.key, this.#stop.after);
      this.#position = Math.min(limit, this.#last === null ? Infinity : index.position(this.#last)) - 1;
    } else {
      const limit = index.position(this.#start.key, this.#start.after);
      this.#position = Math.max(limit, this.#last === null ? 0 : index.position(this.#last, true));
    }
    this.#version = index.version;
  }

  /** Return the next entry, or null. */
  next() {
    this.#seek();
    const entry = this.#index.entries[this.#position];
    if (entry === undefined || !this.#within(entry.key)) return null;
    this.#last = entry.key;
    return entry;
  }

  #within(key) {
    const edge = this.#descending ? this.#start : this.#stop;
    const order = compareLists(key.slice(0, edge.key.length), edge.key);
    if (this.#descending) return edge.after ? order > 0 : order >= 0;
    return edge.after ? order <= 0 : order < 0;
  }

  /** Say whether *key* lies past *other* in the walk's direction. */
  isPast(key, other) {
    const order = compareLists(key, other);
    return this.#descending ? order < 0 : order > 0;
  }
}

/** A search's results, in the guise of a walk: its keys are ranks. */
class SearchWalk {
  #documents;
  #position = -1;

  constructor(documents) {
    this.#documents = documents;
  }

  skipTo([rank]) {
    this.#position = rank;
  }

  next() {
    this.#position += 1;
    const document = this.#documents[this.#position];
    return document === undefined ? null : { key: [this.#position], document };
  }

  isPast(key, other) {
    return compare(key[0], other[0]) > 0;
  }
}

function walkOf(database, transaction, component, source) {
  const [name, indexName] =
    source.type === "FullTableScan" ? [source.tableName, "by_creation_time"] : source.indexName.split(".");
  transaction.noteRead(component, name);
  const table = database.table(component, name) ?? new Table(component, name);
  if (source.type === "Search") {
    const found = database
      .schemaOf(component, name)
      ?.searchIndexes?.find((index) => index.indexDescriptor === indexName);
    if (!found) throw new Error(`Index ${source.indexName} not found.`);
    return new SearchWalk(searchText(table.documents.values(), source.filters));
  }
  const index = table.index(indexFields(database, component, name, indexName));
  return new IndexWalk(index, bounds(index, source.range ?? [], source.indexName ?? name), source.order === "desc");
}

function pipeline(operators) {
  return {
    filters: operators.filter((operator) => "filter" in operator).map(({ filter }) => filter),
    limit: Math.min(Infinity, ...operators.filter((operator) => "limit" in operator).map(({ limit }) => limit)),
  };
}

/** One query being read, document by document. */
export class QueryStream {
  #walk;
  #filters;
  #left;
  #transaction;

  constructor(database, transaction, component, query) {
    this.#transaction = transaction;
    this.#walk = walkOf(database, transaction, component, query.source);
    const { filters, limit } = pipeline(query.operators);
    this.#filters = filters;
    this.#left = limit;
  }

  /** Return the next document, or null. */
  next() {
    if (this.#left <= 0) return null;
    for (let entry = this.#walk.next(); entry !== null; entry = this.#walk.next()) {
      this.#transaction.noteDocument();
      if (!this.#filters.every((filter) => passes(filter, entry.document))) continue;
      this.#left -= 1;
      return visible(entry.document);
    }
    return null;
  }
}

function readCursor(cursor) {
  if (cursor === null || cursor === undefined) return null;
  try {
    const read = JSON.parse(Buffer.from(cursor, "base64url").toString());
    if (read === END) return END;
    return read.length === 0 ? null : read.map(decode);
  } catch {
    throw new Error("InvalidCursor: Failed to parse cursor");
  }
}

function writeCursor(key) {
  return Buffer.from(JSON.stringify(key === END ? END : key.map(encode))).toString("base64url");
}

/** Keeps count of one page's reading, and says when it has to stop and where it could be split. */
class PageBudget {
  #rows;
  #bytes;
  #read = 0;
  #keys = [];

  constructor({ endCursor, pageSize, maximumRowsRead = null, maximumBytesRead = null }) {
    if (pageSize === 0) throw new Error("Must request at least 1 document while paginating");
    if (pageSize > MAX_PAGE) throw new Error(`Requested too many items: ${pageSize}`);
    if (maximumRowsRead === 0 || maximumBytesRead === 0)
      throw new Error("maximumRowsRead and maximumBytesRead must be greater than 0");
    // A page that has an end is read to it, whatever that costs.
    const free = (endCursor ?? null) !== null;
    this.#rows = free ? Infinity : (maximumRowsRead ?? Infinity);
    this.#bytes = free ? Infinity : (maximumBytesRead ?? Infinity);
  }

  get isSpent() {
    return this.#keys.length >= this.#rows || this.#read >= this.#bytes;
  }

  note({ key, document }) {
    this.#keys.push(key);
    if (this.#bytes !== Infinity) this.#read += JSON.stringify(document).length;
  }

  /** Return the last key that was read, or null. */
  get last() {
    return this.#keys.at(-1) ?? null;
  }

  get splitCursor() {
    return this.#keys.length > 2 ? writeCursor(this.#keys[Math.floor(this.#keys.length / 2)]) : null;
  }
}

/** Read one page; cursors name the last document that was read, so that pages stay put while others are inserted. */
export function readPage(database, transaction, component, args) {
  const { query, cursor, endCursor, pageSize } = args;
  const budget = new PageBudget(args);
  const from = readCursor(cursor);
  const until = readCursor(endCursor);
  if (from === END) return { page: [], isDone: true, continueCursor: cursor, splitCursor: null, pageStatus: null };
  const walk = walkOf(database, transaction, component, query.source);
  if (from !== null) walk.skipTo(from);
  const { filters, limit } = pipeline(query.operators);
  const wanted = until === null ? Math.min(pageSize, limit) : Infinity;
  const page = [];
  const answer = (continueCursor, isDone = false, pageStatus = null) => ({
    page,
    isDone,
    continueCursor,
    splitCursor: budget.splitCursor,
    pageStatus: pageStatus ?? (page.length > LONG_PAGE ? "SplitRecommended" : null),
  });
  while (page.length < wanted) {
    if (budget.isSpent) return answer(writeCursor(budget.last), false, "SplitRequired");
    const entry = walk.next();
    if (entry === null) return answer(writeCursor(END), true);
    if (until !== null && until !== END && walk.isPast(entry.key, until)) return answer(endCursor);
    budget.note(entry);
    transaction.noteDocument();
    if (filters.every((filter) => passes(filter, entry.document))) page.push(visible(entry.document));
  }
  return answer(writeCursor(budget.last ?? from ?? []));
}
