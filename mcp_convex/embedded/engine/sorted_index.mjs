// One index of one table: its documents in order, found by binary search.

import { compareLists, decode, fieldAt } from "./values.mjs";

/** Keeps a table's documents ordered by *fields*, then by creation time and id. */
export class SortedIndex {
  constructor(fields, documents) {
    this.fields = [...fields, "_creationTime", "_id"];
    this.entries = [];
    for (const document of documents) this.entries.push(this.#entry(document));
    this.entries.sort((a, b) => compareLists(a.key, b.key));
    /** Grows with each change, so that a reader knows when its position has moved. */
    this.version = 0;
  }

  #entry(document) {
    return { key: this.keyOf(document), document };
  }

  keyOf(document) {
    return this.fields.map((field) => decode(fieldAt(document, field)));
  }

  /** Return the position of the first entry that is not before *key*, which may be a prefix; or, with *after*, that is past it. */
  position(key, after = false) {
    let low = 0;
    let high = this.entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const order = compareLists(this.entries[middle].key.slice(0, key.length), key);
      if (order < 0 || (after && order === 0)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  add(document) {
    const entry = this.#entry(document);
    const last = this.entries.at(-1);
    if (last === undefined || compareLists(last.key, entry.key) < 0) this.entries.push(entry);
    else this.entries.splice(this.position(entry.key), 0, entry);
    this.version += 1;
  }

  remove(document) {
    this.entries.splice(this.position(this.keyOf(document)), 1);
    this.version += 1;
  }
}
