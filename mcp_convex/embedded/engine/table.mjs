// One table: its documents by id, and the indexes over them.

import { SortedIndex } from "./sorted_index.mjs";

/** One table of one component. */
export class Table {
  #indexes = new Map();

  constructor(component, name, number) {
    this.component = component;
    this.name = name;
    this.number = number;
    this.documents = new Map();
  }

  /** Return the index over *fields*, built when it is first asked for. */
  index(fields) {
    const key = fields.join();
    if (!this.#indexes.has(key)) this.#indexes.set(key, new SortedIndex(fields, this.documents.values()));
    return this.#indexes.get(key);
  }

  /** Set the document of *id*, or remove it where *document* is null; return what was there. */
  set(id, document) {
    const before = this.documents.get(id) ?? null;
    for (const index of this.#indexes.values()) {
      if (before !== null) index.remove(before);
      if (document !== null) index.add(document);
    }
    if (document === null) this.documents.delete(id);
    else this.documents.set(id, document);
    return before;
  }
}
